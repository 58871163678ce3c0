import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runUnchecked } from '../../system/index.ts'
import { readyToolchain, type Toolchain } from '../../toolchain/index.ts'

const toolchain = (await readyToolchain().catch(() => undefined)) as Toolchain
const MAIN = join(import.meta.dirname, '../main.ts')
const OURS = [process.execPath, MAIN, 'systemd-sysupdate'].join(' ')

/** A new btrfs at `mnt`, in a mount namespace of its own, and functions for what follows. */
const MOUNTED = `
set -e
rm -f disk; truncate --size=300M disk; mkfs.btrfs -q disk; mkdir -p mnt; mount -o loop disk mnt; cd mnt
define() { printf '[Source]\\nType=%s\\nPath=/src\\nMatchPattern=%s\\n[Target]\\nType=%s\\nPath=/dst\\nMatchPattern=%s\\n%s\\n' "$2" "$3" "$4" "$5" "$6" >usr/lib/sysupdate.d/$1.transfer; }
fill() { mkdir -p $1/usr/lib $1/deep; echo "$1" >$1/file; ln -s file $1/link; chmod 700 $1/deep; echo ID=x >$1/usr/lib/os-release; chmod 750 $1; }
system() {
  mkdir -p $1/usr/lib/sysupdate.d $1/src $1/dst $1/var; cd $1
  define 10-snapshot subvolume s_@v subvolume s_@v ReadOnly=yes
  define 20-archive tar t_@v.tar subvolume t_@v ''
  define 30-copy directory d_@v subvolume d_@v 'ReadOnly=yes
CurrentSymlink=current'
  define 40-plain subvolume s_@v directory p_@v ''
  for v in 1 2 3; do
    btrfs -q subvolume create src/s_$v; fill src/s_$v; fill src/d_$v
    fill src/os$v; tar -C src -cf src/t_$v.tar os$v; rm -r src/os$v
  done
  cd ..
}
shown() { for d in $1/dst/*; do
  kind=directory; [ $(stat -c %i $d) != 256 ] || kind="subvolume $(btrfs property get -ts $d ro)"
  [ ! -h $d ] || kind="link $(readlink $d)"
  echo "\${d#$1/} $kind"; [ -h $d ] || (cd $d; find . -printf '  %P %y %m %s %l\\n' | sort)
done; }
`

let directory: string
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'bootwright-btrfs-'))
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

async function onBtrfs(script: string) {
  const command = toolchain.command(['unshare', '--mount', 'sh', '-c', `${MOUNTED}${script}`], { cwd: directory })
  return runUnchecked(command, { timeoutMs: 120_000 })
}

describe.skipIf(toolchain === undefined)('subvolumes (needs the tools: ./bootwright setup)', () => {
  it('are made, made read-only and deleted as the original does', async ({ skip }) => {
    const { exitCode, stderr } = await onBtrfs('true')
    if (exitCode !== 0) skip(`this host cannot mount btrfs: ${stderr.trim().split('\n').at(-1)}`)
    const update = (program: string, root: string): string =>
      [1, 2, 3].map((v) => `${program} --root=$PWD/${root} -m 2 update ${v} >log 2>&1 || cat log >&2`).join('\n')
    const { stdout, stderr: complaints } = await onBtrfs(
      [
        ...['system theirs', 'system ours'],
        ...[update('/usr/lib/systemd/systemd-sysupdate', 'theirs'), update(OURS, 'ours')],
        ...['shown theirs', 'echo ----', 'shown ours'],
      ].join('\n'),
    )
    expect(complaints).toBe('')
    const [theirs = '', ours = ''] = stdout.split('----\n')
    expect(ours).toBe(theirs)
    const kinds = ours.split('\n').filter((line) => line.startsWith('dst/'))
    expect(kinds).toEqual([
      'dst/current link d_3',
      'dst/d_2 subvolume ro=true',
      'dst/d_3 subvolume ro=true',
      'dst/p_2 directory',
      'dst/p_3 directory',
      'dst/s_2 subvolume ro=true',
      'dst/s_3 subvolume ro=true',
      'dst/t_2 subvolume ro=false',
      'dst/t_3 subvolume ro=false',
    ])
    // A snapshot shares what it holds; an archive with one system in it is that system.
    expect(ours).toContain('  usr/lib/os-release f')
  }, 180_000)

  it('leave nothing of an archive that is damaged, and what is inside of one goes with it', async ({ skip }) => {
    if ((await onBtrfs('true')).exitCode !== 0) skip('this host cannot mount btrfs')
    const { stdout } = await onBtrfs(
      [
        ...['system ours', 'head -c 4000 ours/src/t_3.tar >ours/src/cut; mv ours/src/cut ours/src/t_3.tar'],
        `${OURS} --root=$PWD/ours update 3 >log 2>&1 || echo failed; grep -c unpack log; find ours/dst -name '.sysupdate.partial*'`,
        `${OURS} --root=$PWD/ours update 2 >>log 2>&1 && btrfs -q subvolume create ours/dst/t_2/inner || cat log`,
        `${OURS} --root=$PWD/ours -m 1 vacuum >>log 2>&1 || cat log; rm -r ours/src/*_3* ours/usr/lib/sysupdate.d/20*; ls ours/dst`,
        `${OURS} --root=$PWD/ours cleanup >>log 2>&1; ls -d ours/dst/t_2 || echo gone; btrfs subvolume list -o . | grep -c inner || true`,
      ].join('\n'),
    )
    expect(stdout).toMatch(/^failed\n1\n/)
    expect(stdout).toMatch(/gone\n0\n$/)
  }, 180_000)
})
