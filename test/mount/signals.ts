/** SIGUSR1 opens nothing in supervisor and worker of a mount, and ends neither. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { cannotMount, isRunning, mountDaemon, place, statusOf, stop } from '../fixtures/daemon.ts'

t.test('supervisor and worker go on, and listen on no port', { skip: cannotMount }, async t => {
  const where = place(t)
  const daemon = await mountDaemon(t, where)
  const { pid } = await statusOf(where)
  for (const id of [pid, daemon.supervisorPid]) {
    t.ok(isHandled(id, 10), `SIGUSR1 is handled by ${id}`)
    process.kill(id, 'SIGUSR1')
  }
  t.equal((await statusOf(where)).pid, pid, 'the same worker')
  t.ok(isRunning(daemon.supervisorPid))
  for (const id of [pid, daemon.supervisorPid]) t.same(portsOf(id), [])
  t.notMatch(daemon.log(), /inspector|Debugger/)
  t.equal(await stop(daemon), 0)
})

/** Is it caught? (Node itself catches SIGUSR1, too.) Source: proc_pid_status(5), SigCgt. */
function isHandled(pid: number, signal: number): boolean {
  const caught = /^SigCgt:\t([0-9a-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]!
  return ((BigInt(`0x${caught}`) >> BigInt(signal - 1)) & 1n) === 1n
}

/** Addresses on which the process listens with TCP, as /proc has them. */
function portsOf(pid: number): string[] {
  const links = readdirSync(`/proc/${pid}/fd`).map(fd => pathOf(join(`/proc/${pid}/fd`, fd)))
  return ['tcp', 'tcp6'].flatMap(table =>
    readFileSync(`/proc/${pid}/net/${table}`, 'utf8')
      .split('\n')
      .map(line => line.trim().split(/\s+/))
      .filter(([, , , state, , , , , , inode]) => state === '0A' && links.includes(`socket:[${inode}]`))
      .map(([, address]) => address!),
  )
}

function pathOf(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return '' // Closed meanwhile.
  }
}
