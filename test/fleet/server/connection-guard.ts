/** Bounds of connections and requests: the one that makes room for another. */
import { EventEmitter } from 'node:events'
import t from 'tap'
import { ConnectionGuard } from '../../../src/fleet/server/connection-guard.ts'

class Connection extends EventEmitter {
  readonly remoteAddress: string
  isOpen = true

  constructor(remoteAddress: string) {
    super()
    this.remoteAddress = remoteAddress
  }

  destroy(): void {
    this.isOpen = false
    this.emit('close')
  }
}

/** Connections of that address, admitted. */
function come(guard: ConnectionGuard, address: string, count = 1): Connection[] {
  return Array.from({ length: count }, () => {
    const connection = new Connection(address)
    guard.admit(connection)
    return connection
  })
}

const open = (connections: readonly Connection[]) => connections.map(({ isOpen }) => isOpen)

t.test('of an address that has too many, the one that was idle for longest makes room', t => {
  const guard = new ConnectionGuard({ addressConnectionsMax: 3 })
  const [others, own] = [come(guard, 'b', 3), come(guard, 'a', 3)]
  guard.begin(own[0]!)!()
  come(guard, 'a')
  t.same(open(own), [true, false, true], 'the first one had a request since')
  t.same(open(others), [true, true, true])
  t.same([guard.connections, guard.refused], [6, 1])
  t.end()
})

t.test('of all together, the address that has most makes room; one with requests does not', t => {
  const guard = new ConnectionGuard({ connectionsMax: 4 })
  const [many, few] = [come(guard, 'a', 3), come(guard, 'b')]
  come(guard, 'c')
  t.same([...open(many), ...open(few)], [false, true, true, true])
  for (const connection of many.slice(1)) guard.begin(connection)
  const [late] = come(guard, 'd')
  t.notOk(late!.isOpen, 'nobody of them is idle')
  t.equal(guard.connections, 4)
  t.end()
})

t.test('requests of one address are bounded, until one of them ends', t => {
  const guard = new ConnectionGuard({ addressRequestsMax: 2 })
  const own = come(guard, 'a', 3)
  const ends = own.slice(0, 2).map(connection => guard.begin(connection)!)
  t.equal(guard.begin(own[2]!), null)
  t.ok(guard.begin(come(guard, 'b')[0]!))
  own[0]!.destroy()
  ends[0]!()
  t.ok(guard.begin(own[2]!))
  t.end()
})
