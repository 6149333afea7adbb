/** Descriptors of librbd at the service manager: their names, and the room for them. */
import t from 'tap'
import { HeldLibrbd } from '../../../src/daemon/supervisor/held-librbd.ts'
import { librbdConnectionsHeldMax } from '../../../src/daemon/supervisor/limits.ts'

function setUp({ descriptorsMax = Infinity, socket = '/run/notify' as string | null, holds = true } = {}) {
  const done: string[] = []
  const manager = {
    socket,
    descriptorsMax,
    hold: (name: string, fd: number) => {
      done.push(`hold ${name} ${fd}`)
      return holds
    },
    drop: (name: string) => void done.push(`drop ${name}`),
  }
  return { held: new HeldLibrbd(manager), done }
}

t.test('all three parts, and each anew', async t => {
  const { held, done } = setUp()
  held.hold('listener', 1)
  held.hold('journal', 2)
  t.notOk(held.isWhole)
  held.hold('view', 3)
  t.ok(held.isWhole)
  t.same(done.splice(0), ['hold librbd-listener 1', 'hold librbd-journal 2', 'hold librbd-view 3'])
  held.hold('view', 4)
  t.same(done.splice(0), ['drop librbd-view', 'hold librbd-view 4'])
  held.drop()
  held.drop({ connections: [{ fd: 9, slot: 2, number: 8 }] })
  t.notOk(held.isWhole)
  t.same(done, ['drop librbd-listener', 'drop librbd-journal', 'drop librbd-view', 'drop librbd-2-8'])
})

t.test('those of an earlier supervisor count', async t => {
  const { held, done } = setUp()
  held.adopt()
  t.ok(held.isWhole)
  held.drop()
  t.equal(done.length, 3)
})

t.test('a manager without room holds the mount alone', async t => {
  const room = (descriptorsMax: number) => setUp({ descriptorsMax }).held.holder?.connectionsMax ?? null
  t.equal(room(Infinity), librbdConnectionsHeldMax)
  t.equal(room(7 + librbdConnectionsHeldMax), librbdConnectionsHeldMax)
  t.equal(room(7 + librbdConnectionsHeldMax - 1), librbdConnectionsHeldMax - 1)
  t.equal(room(8), 1)
  t.equal(room(7), null)
  const { held, done } = setUp({ descriptorsMax: 4 })
  held.hold('listener', 1)
  t.same(done, [])
  t.equal(setUp({ socket: null }).held.holder, null, 'no manager')
})

t.test('a manager that cannot be told holds nothing that counts', async t => {
  const { held } = setUp({ holds: false })
  for (const part of ['listener', 'journal', 'view'] as const) held.hold(part, 1)
  t.notOk(held.isWhole)
})
