/** Processes that use a file under a directory. A plain directory does: only links under /proc are looked at. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { findHolders, formatHolders } from '../../../src/daemon/mount/mount-holders.ts'

/** A process that says when it is there, and ends with the test. */
async function holder(t: Pick<Test, 'teardown'>, file: string, args: string[], cwd = '/'): Promise<ChildProcess> {
  const child = spawn(file, args, { cwd, stdio: ['pipe', 'pipe', 'inherit'], env: { PATH: process.env.PATH } })
  t.teardown(async () => {
    child.kill('SIGKILL')
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  })
  await once(child.stdout!, 'data')
  return child
}

const waiting = 'console.log("up"); process.stdin.resume()'

t.test('an open file, a working directory and an executable hold; a neighbour with a longer name does not', async t => {
  const top = t.testdir({ mnt: { file: 'x'.repeat(4096) }, 'mnt-2': { file: '' } })
  const mnt = join(top, 'mnt')
  mkdirSync(join(mnt, 'deep'))
  copyFileSync('/bin/cat', join(mnt, 'cat'))
  const opens = `require('fs').openSync(${JSON.stringify(join(mnt, 'file'))}); ${waiting}`
  const [file, directory, neighbour] = await Promise.all([
    holder(t, process.execPath, ['-e', opens]),
    holder(t, process.execPath, ['-e', waiting], join(mnt, 'deep')),
    holder(t, process.execPath, ['-e', waiting], join(top, 'mnt-2')),
  ])
  const executable = spawn('sh', ['-c', `chmod +x ${join(mnt, 'cat')}; echo up; exec ${join(mnt, 'cat')}`], {
    cwd: '/',
  })
  t.teardown(() => void executable.kill('SIGKILL'))
  await once(executable.stdout, 'data')
  executable.stdin.write('running\n')
  await once(executable.stdout, 'data')
  const found = await findHolders(mnt)
  const pids = found.map(({ pid }) => pid)
  for (const child of [file, directory, executable]) t.ok(pids.includes(child.pid!), `${child.spawnfile} ${child.pid}`)
  t.notOk(pids.includes(neighbour.pid!))
  t.equal(pids.length, 3)
  t.match(found.find(({ pid }) => pid === file.pid)?.command, /node.* -e /)
})

t.test('a mapping holds after its file was closed', async t => {
  const mnt = t.testdir()
  const file = join(mnt, 'file')
  writeFileSync(file, 'x'.repeat(4096))
  const script = [
    'import mmap, sys, os',
    `f = os.open(${JSON.stringify(file)}, os.O_RDONLY)`,
    'm = mmap.mmap(f, 4096, prot=mmap.PROT_READ)',
    'os.close(f)',
    'print("up", flush=True)',
    'sys.stdin.read()',
  ].join('\n')
  const python = await holder(t, 'python3', ['-c', script]).catch(() => null)
  if (!python) return t.pass('SKIPPED: python3 is missing')
  t.same(
    (await findHolders(mnt)).map(({ pid }) => pid),
    [python.pid],
  )
})

t.test('nobody is nobody, and said so', async t => {
  t.same(await findHolders(t.testdir()), [])
  t.match(formatHolders([]), /cannot be seen/)
  const some = [
    { pid: 5, command: 'cat x' },
    { pid: null, command: '/dev/loop0 of /x' },
  ]
  t.equal(formatHolders(some), '5 (cat x), /dev/loop0 of /x')
})
