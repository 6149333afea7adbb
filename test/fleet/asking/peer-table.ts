/** Members as they are asked: another registration, another address, channels that are opened anew. */
import t from 'tap'
import { PeerTable } from '../../../src/fleet/asking/peer-table.ts'
import type { KnownMember } from '../../../src/fleet/group/group-view.ts'

const member: KnownMember = {
  id: 'a',
  url: 'https://10.0.0.1:1',
  rack: '',
  weight: 1,
  blockBytes: 4_096,
  state: 'up',
  since: 1,
}

function setUp() {
  const opened: string[] = []
  const closed: string[] = []
  const known = new Map([[member.id, member]])
  const table = new PeerTable({
    view: { find: id => known.get(id) ?? null },
    now: () => 0,
    openChannel: ({ url }) => {
      opened.push(url)
      return {
        ask: async () => ({ kind: 'silent' }),
        request: async () => ({ status: 404, text: '' }),
        close: async () => void closed.push(url),
      }
    },
  })
  return { table, opened, closed, known }
}

t.test('a liar is one at another address, too, until it registers anew', async t => {
  const { table, opened, closed } = setUp()
  t.ok(table.isUsable(member), 'it was never asked')
  table.of(member).health.lied('a block differs')
  t.notOk(table.isUsable(member))
  const moved = { ...member, url: 'https://10.0.0.2:1' }
  t.notOk(table.of(moved).health.isUsable)
  t.same([opened, closed], [[member.url, moved.url], [member.url]])
  const anew = { ...moved, since: 2 }
  t.ok(table.isUsable(anew))
  t.ok(table.of(anew).health.isUsable)
  t.equal(table.healthOf('a')?.isUsable, true)
  await table.close()
  t.same(closed, opened)
})

t.test('channels that are opened anew leave the health as it was', async t => {
  const { table, opened, closed } = setUp()
  const { health } = table.of(member)
  t.equal(table.of(member).health, health)
  table.reopen()
  t.same(closed, [member.url])
  t.equal(table.of(member).health, health)
  t.equal(opened.length, 2)
  await table.close()
})

t.test('members that the view has forgotten are closed', async t => {
  const { table, closed, known } = setUp()
  table.of(member)
  table.forgetUnknown()
  t.same(closed, [])
  known.clear()
  table.forgetUnknown()
  t.same(closed, [member.url])
  t.equal(table.healthOf('a'), null)
})
