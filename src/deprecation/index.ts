export { scanTree, type TreeScan } from './scan-tree.ts'
export { unpackImage } from './unpack-image.ts'
