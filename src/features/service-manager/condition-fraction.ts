import { fractionPoint, isInFraction, parseFraction } from '../../formats/index.ts'
import type { RunningMachine } from '../../machine/index.ts'
import { type Claim, claim, type Feature, negative } from '../feature.ts'
import { systemdVersion } from '../requirement.ts'
import { output, sh, temporaryUnits } from '../shell.ts'

const TAG = 'bootwright'
/** Machines of a fleet, asked about without booting them. */
const MACHINE_IDS = [
  '00000000000000000000000000000001',
  '0123456789abcdef0123456789abcdef',
  '7c3f1d2e4b5a69788796a5b4c3d2e1f0',
  'b8f0d5c2a1e94f6c8d7b3a2910fe5c44',
]
const WHOLE = 10_000

export const conditionFraction: Feature = {
  id: 'condition-fraction',
  group: 'service-manager',
  title: 'A unit runs on the part of the fleet that ConditionFraction= names',
  topic: 'Fleet rollouts: ConditionFraction=',
  requires: [systemdVersion(261)],
  async observe({ machine }) {
    const own = await output(machine, 'cat', '/etc/machine-id')
    return [...(await fleet(machine)), ...(await units(machine, own)), ...(await refusals(machine))]
  },
}

/** Each machine just above and below the point where it is selected, as predicted. */
async function fleet(machine: RunningMachine): Promise<Claim[]> {
  const claims: Claim[] = []
  for (const machineId of MACHINE_IDS) {
    const first = Math.floor((fractionPoint(machineId, TAG) / 0xffff_ffff) * WHOLE)
    for (const permyriad of [first - 1, first + 2]) {
      const value = `${TAG} ${permyriad}‱`
      const expected = isInFraction(machineId, parseFraction(value))
      const { status } = await sh(
        machine,
        'printf "%s\\n" "$1" >/run/bootwright-id; unshare --mount sh -c \'mount --bind /run/bootwright-id /etc/machine-id && exec systemd-analyze condition "$0"\' "ConditionFraction=$2"; status=$?; rm -f /run/bootwright-id; exit $status',
        machineId,
        value,
      )
      const make = expected ? claim : negative
      claims.push(make(`machine ${machineId} at ${value}`, expected, status === 0))
    }
  }
  return claims
}

/** The machine itself, in real units: what is predicted of it, and its opposite. */
async function units(machine: RunningMachine, own: string): Promise<Claim[]> {
  const isChosen = isInFraction(own, parseFraction(`${TAG} 50%`))
  const unit = (condition: string) =>
    `[Unit]\nConditionFraction=${condition}\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=true\n`
  await using _units = await temporaryUnits(machine, {
    'bootwright-fraction-a.service': unit(`${TAG} 50%`),
    'bootwright-fraction-b.service': unit(`!${TAG} 50%`),
  })
  await machine.run(['systemctl', 'start', 'bootwright-fraction-a.service', 'bootwright-fraction-b.service'])
  const { stdout } = await sh(
    machine,
    'systemctl is-active bootwright-fraction-a.service bootwright-fraction-b.service',
  )
  const [a = '', b = ''] = stdout.split('\n')
  const state = (isActive: boolean) => (isActive ? 'active' : 'inactive')
  return [
    claim(`unit with ${TAG} 50%, of this machine ${own}`, state(isChosen), a),
    negative(`unit with !${TAG} 50%`, state(!isChosen), b),
  ]
}

async function refusals(machine: RunningMachine): Promise<Claim[]> {
  const claims: Claim[] = []
  for (const value of ['30', 'a b 30%', '150%', `${TAG} 0%`]) {
    const { status } = await sh(machine, 'systemd-analyze condition "ConditionFraction=$1"', value)
    claims.push(negative(`"${value}" selects this machine`, false, status === 0))
  }
  return claims
}
