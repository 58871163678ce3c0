import type { CheckContext } from '../verify/index.ts'

/** What an image, its kernel or the machine must have for a feature to be there at all. */
export interface Requirement {
  /** As the report names it when it is missing. */
  readonly name: string
  isMet(context: CheckContext): Promise<boolean>
}

/** A program, or another file of the image, and the package that brings it. */
export function file(path: string, packageName: string): Requirement {
  return {
    name: `the image has no ${path} (package ${packageName})`,
    isMet: ({ guest }) => guest.exists(path),
  }
}

/** A unit that runs. */
export function activeUnit(unit: string): Requirement {
  return {
    name: `${unit} is not active`,
    async isMet({ machine }) {
      return (await machine.runUnchecked(['systemctl', 'is-active', '--quiet', unit])).exitCode === 0
    },
  }
}

/** What systemd was when a feature came. */
export function systemdVersion(atLeast: number): Requirement {
  return {
    name: `systemd is older than ${atLeast}`,
    async isMet({ machine }) {
      const { stdout } = await machine.run(['systemctl', '--version'])
      return Number(/^systemd (\d+)/.exec(stdout)?.[1] ?? 0) >= atLeast
    },
  }
}

export const MEASURED_BOOT: Requirement = {
  name: 'the machine has no TPM',
  isMet: ({ guest }) => guest.hasTpm(),
}
