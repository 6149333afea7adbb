/** The supervisor's part of librbd without a mount: failures leave no descriptor, no socket file and no mount. */
import { closeSync, existsSync, fstatSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { CacheError } from '../../../src/base/errors.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import { HeldLibrbd } from '../../../src/daemon/supervisor/held-librbd.ts'
import { LibrbdService } from '../../../src/daemon/supervisor/librbd-service.ts'
import { loadAddon } from '../../../src/native/addon.ts'

const addon = loadAddon()
const noManager = { socket: null, descriptorsMax: 0, hold: () => false, drop: () => {} }

interface Faults {
  /** There can be no keeper. */
  readonly keeper?: boolean
  readonly mount?: boolean
}

function setUp(t: Test, faults: Faults) {
  const directory = mkdtempSync(join(tmpdir(), 'parentfs-librbd-service-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  const place = { socket: join(directory, 'sock'), directory: join(directory, 'objects'), mode: 0o600, group: null }
  const [listeners, closed, unmounts]: [number[], number[], boolean[]] = [[], [], []]
  const view = openSync('/dev/null', 'r')
  const service = new LibrbdService({
    addon: {
      listenAt: (...listen) => {
        const fd = addon.listenAt(...listen)
        listeners.push(fd)
        return fd
      },
      // A journal of another size makes the keeper fail as a missing thread does: the listener was its own by then.
      createLibrbdKeeper: (listener, manager) => {
        const kept = faults.keeper ? { journal: openSync('/dev/null', 'r'), connections: [] } : null
        return addon.createLibrbdKeeper(listener, manager, kept)
      },
      closeFd: fd => {
        closed.push(fd)
        addon.closeFd(fd)
      },
    },
    createMounter: mountpoint => ({
      ...{ mountpoint, device: '0:99', prepare: async () => {}, adopt: async () => {} },
      mount: async () => {
        if (faults.mount) throw new CacheError('mount-failed', 'no mount')
        return view
      },
      unmount: async force => void unmounts.push(force),
    }),
    held: new HeldLibrbd(noManager),
    kept: null,
    logger: silentLogger,
  })
  return { service, place, listeners, closed, unmounts, view }
}

const isOpen = (fd: number) => {
  try {
    return fstatSync(fd).isSocket()
  } catch {
    return false
  }
}

t.test('a keeper that cannot be made closes the listener, and nobody else does', async t => {
  const { service, place, listeners, closed, view } = setUp(t, { keeper: true })
  await t.rejects(service.handOver(place), { code: 'mount-failed' })
  t.notOk(isOpen(listeners[0]!), 'it is closed')
  t.same(closed, [], 'not again: its number may be that of another descriptor by now')
  t.notOk(existsSync(place.socket))
  t.equal(service.state, null)
  closeSync(view)
})

t.test('a view that cannot be mounted ends the keeper and the listener', async t => {
  const { service, place, listeners, closed, view } = setUp(t, { mount: true })
  await t.rejects(service.handOver(place), { code: 'mount-failed' })
  t.notOk(isOpen(listeners[0]!))
  t.same(closed, [])
  t.notOk(existsSync(place.socket))
  closeSync(view)
})

t.test('a close ends the socket, the connections and the mount of the view', async t => {
  const { service, place, listeners, closed, unmounts, view } = setUp(t, {})
  const handed = await service.handOver(place)
  t.match(handed, { view, negotiated: null })
  addon.closeFd(handed!.channel)
  const client = connect(place.socket)
  const ended = new Promise(resolve => client.on('error', () => {}).once('close', resolve))
  await new Promise(resolve => client.once('connect', resolve))
  t.ok(isOpen(listeners[0]!))
  await service.close(() => t.fail('no worker serves'))
  await ended
  t.notOk(isOpen(listeners[0]!))
  t.same(closed, [view])
  t.same(unmounts, [true])
  t.notOk(existsSync(place.socket))
  await service.close(() => t.fail('it is closed already'))
  t.same(closed, [view])
})
