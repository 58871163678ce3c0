/** Something that a guest showed and that no assertion asked for: it fails the test unless it is allowed. */
export interface Symptom {
  readonly kind: 'kernel' | 'sanitizer' | 'coredump'
  /** The line that proves it. */
  readonly line: string
}

/** A symptom that is known, and why it may stay. */
export interface AllowedSymptom {
  /** A part of the line; in code also a pattern. */
  readonly match: string | RegExp
  /** The reason, for the next one who wonders. */
  readonly because: string
}

/** What the kernel says when something in it is broken (kernel/panic.c, lib/bug.c, mm/kasan, lib/ubsan.c, arch/x86/mm/fault.c). */
const KERNEL =
  /\bWARNING: (?:CPU: \d|\S+:\d+ at )|\bBUG: |\bkernel BUG at |\bOops: |\bgeneral protection fault\b|\bKernel panic - not syncing|\bUBSAN: |\bKFENCE: |\bunchecked MSR access error|: INFO: task .* blocked for more than|rcu: INFO: .* (?:stall|self-detected)/
/** How the kernel tells of a program that it had to end, where nothing takes the core. */
const CRASH =
  /\w\[\d+\]: segfault at |\btraps: .+\[\d+\] (?:general protection|trap )|\bSegmentation fault \(core dumped\)/
/** What LLVM's and GCC's sanitizers print. */
const SANITIZER = /==\d+==\s*ERROR: \w+Sanitizer|\bSUMMARY: \w+Sanitizer: |:\d+:\d+: runtime error: /
/** systemd-coredump(8), its message of a dump. */
const COREDUMP = /\bProcess \d+ \(.+\) of user \d+ (?:dumped core|terminated abnormally)/

/** An emulated processor may not be scheduled for long: what only says that is no fault of the guest. */
const BY_EMULATION: AllowedSymptom = {
  match: /soft lockup|rcu: INFO: |blocked for more than/,
  because: 'an emulated processor waits for its host',
}

/** Symptoms in lines of a guest's console, kernel log or journal, each line once. */
export function symptomsIn(lines: Iterable<string>): Symptom[] {
  const found = new Map<string, Symptom>()
  for (const line of lines) {
    const kind = kindOf(line)
    if (kind === undefined) continue
    const text = line.trim().replace(/^\[ *\d+\.\d+\](?:\[ *[CT]\d+\])? /, '')
    if (!found.has(text)) found.set(text, { kind, line: text })
  }
  return [...found.values()]
}

function kindOf(line: string): Symptom['kind'] | undefined {
  if (SANITIZER.test(line)) return 'sanitizer'
  if (COREDUMP.test(line) || CRASH.test(line)) return 'coredump'
  return KERNEL.test(line) ? 'kernel' : undefined
}

/** Those that nobody allowed. */
export function unexpected(
  symptoms: readonly Symptom[],
  allowed: readonly AllowedSymptom[],
  accelerator: 'kvm' | 'tcg',
): Symptom[] {
  const list = accelerator === 'tcg' ? [...allowed, BY_EMULATION] : allowed
  return symptoms.filter(({ line }) => !list.some(({ match }) => matches(match, line)))
}

function matches(match: string | RegExp, line: string): boolean {
  if (typeof match === 'string') return line.includes(match)
  match.lastIndex = 0
  return match.test(line)
}
