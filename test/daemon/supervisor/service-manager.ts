/** Messages to a service manager, and their times. */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { silentLogger } from '../../../src/base/logger.ts'
import { createServiceManager } from '../../../src/daemon/supervisor/service-manager.ts'
import { loadAddon } from '../../../src/native/addon.ts'
import { listenAsManager } from '../../fixtures/notify-socket.ts'
import { until } from '../../fixtures/until.ts'

const addon = loadAddon()
const named = { NOTIFY_SOCKET: '/run/manager' }

t.test('each state is one datagram, and a status is one line of it', async t => {
  const sent: [string, string][] = []
  const send = (name: string, text: string) => void sent.push([name, text])
  const manager = createServiceManager({ environment: named, pid: 7 }, send, silentLogger)
  manager.ready('mounted\nREADY=0')
  manager.status('in use by\n  12')
  manager.alive()
  manager.stopping('gone')
  t.same(
    sent.map(([, text]) => text),
    ['READY=1\nSTATUS=mounted READY=0\n', 'STATUS=in use by 12\n', 'WATCHDOG=1\n', 'STOPPING=1\nSTATUS=gone\n'],
  )
  t.same(new Set(sent.map(([name]) => name)), new Set(['/run/manager']))
})

t.test('without a manager nothing is sent, and one that cannot be told is mentioned once', async t => {
  const unexpected = () => t.fail('sent')
  const nobody = createServiceManager({ environment: { WATCHDOG_USEC: '1000' }, pid: 7 }, unexpected, silentLogger)
  nobody.ready('x')
  t.equal(nobody.watchdogMs, null)
  const lines: string[] = []
  const logger = { ...silentLogger, warn: (_: object, line: string) => void lines.push(line) }
  const fail = () => {
    throw new Error('refused')
  }
  const deaf = createServiceManager({ environment: named, pid: 7 }, fail, logger)
  deaf.ready('x')
  deaf.alive()
  t.equal(lines.length, 1)
})

t.test('a watchdog is for the process that it names, and only if it has a time', async t => {
  const cases: [Record<string, string>, number | null][] = [
    [{ WATCHDOG_USEC: '3000000' }, 3000],
    [{ WATCHDOG_USEC: '3000000', WATCHDOG_PID: '7' }, 3000],
    [{ WATCHDOG_USEC: '3000000', WATCHDOG_PID: '8' }, null],
    [{ WATCHDOG_USEC: '0' }, null],
    [{ WATCHDOG_USEC: 'soon' }, null],
    [{}, null],
    [{ WATCHDOG_USEC: '9000000000000' }, 2 ** 31 - 1],
  ]
  for (const [words, expected] of cases) {
    const environment = { ...named, ...words }
    const { watchdogMs } = createServiceManager({ environment, pid: 7 }, () => {}, silentLogger)
    t.equal(watchdogMs, expected, JSON.stringify(words))
  }
})

t.test('datagrams reach sockets in the file system and abstract ones', async t => {
  // Not t.testdir(): what it makes is too long for a socket.
  const directory = mkdtempSync(join(tmpdir(), 'parentfs-test-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  for (const name of [join(directory, 'socket'), `@parentfs-test-${randomBytes(8).toString('hex')}`]) {
    const { heard } = await listenAsManager(t, name)
    addon.sendDatagram(name, 'READY=1\nSTATUS=grün\n', null)
    await until(() => heard.length > 0, 10_000, 'the datagram')
    t.same(heard, ['READY=1\nSTATUS=grün\n'], name)
  }
  t.throws(() => addon.sendDatagram('@parentfs-nobody', 'x', null), { code: 'ECONNREFUSED', syscall: 'sendmsg' })
  t.throws(() => addon.sendDatagram(`/${'x'.repeat(106)}`, 'x', null), { code: 'ENOENT' }, 'the longest name')
  t.throws(() => addon.sendDatagram(`/${'x'.repeat(107)}`, 'x', null), { code: 'ENAMETOOLONG' }, 'one longer')
  for (const name of ['', '@', 'vsock:2:1', 'relative']) {
    t.throws(() => addon.sendDatagram(name, 'x', null), { code: 'EAFNOSUPPORT' }, name)
  }
})
