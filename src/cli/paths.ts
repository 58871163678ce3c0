import { join, resolve } from 'node:path'

/** The checkout that this program runs from. */
export const CHECKOUT = resolve(import.meta.dirname, '../..')
/** Built images and runs. */
export const OUT = join(CHECKOUT, 'out')
export const IMAGES = join(CHECKOUT, 'images')
export const FIRMWARE = join(CHECKOUT, 'ovmf')
