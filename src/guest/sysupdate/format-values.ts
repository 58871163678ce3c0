const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat']
const UNITS = ['B', 'K', 'M', 'G', 'T', 'P', 'E']

/** A time in microseconds since 1970 as systemd's tools show it, in the zone of this process. */
export function timeText(us: bigint): string {
  const time = new Date(Number(us / 1000n))
  if (Number.isNaN(time.getTime())) return '-'
  const two = (value: number): string => String(value).padStart(2, '0')
  const date = `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())}`
  const clock = [time.getHours(), time.getMinutes(), time.getSeconds()].map(two).join(':')
  return `${DAYS[time.getDay()]} ${date} ${clock} ${zoneName(time)}`
}

function zoneName(time: Date): string {
  const parts = new Intl.DateTimeFormat('en-GB', { timeZoneName: 'short' }).formatToParts(time)
  return parts.find(({ type }) => type === 'timeZoneName')?.value ?? 'UTC'
}

/** Bytes in powers of 1024, with one digit behind the point unless it is 0. */
export function bytesText(bytes: bigint): string {
  let power = 0
  while (power < UNITS.length - 1 && bytes >= 1024n ** BigInt(power + 1)) power++
  const tenths = (bytes * 10n) / 1024n ** BigInt(power)
  const digit = tenths % 10n
  return `${tenths / 10n}${digit === 0n ? '' : `.${digit}`}${UNITS[power]}`
}
