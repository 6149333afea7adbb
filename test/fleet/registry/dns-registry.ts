import type { SrvRecord } from 'node:dns'
import t from 'tap'
import { membersListedMax } from '../../../src/fleet/group/limits.ts'
import type { Member } from '../../../src/fleet/group/member.ts'
import { DnsRegistry } from '../../../src/fleet/registry/dns-registry.ts'
import { StaticRegistry } from '../../../src/fleet/registry/static-registry.ts'
import { keepingLogger } from '../../fixtures/keeping-logger.ts'
import { until } from '../../fixtures/until.ts'

const facts = { rack: '', weight: 1, blockBytes: 65_536 }
const record = (name: string, port: number): SrvRecord => ({ name, port, priority: 0, weight: 0 })

t.test('a static list is the view: each URL once, and none that may not be asked', async t => {
  const urls = ['https://10.0.0.1:7447', 'https://10.0.0.1:7447/', 'ftp://x', 'https://user:word@10.0.0.2']
  let members: readonly Member[] = []
  const registry = new StaticRegistry(urls, facts)
  registry.watch({ onHeard: () => {}, onMembers: list => (members = list) })
  t.same(
    members.map(({ id, url }) => [id, url]),
    [['10.0.0.1:7447', 'https://10.0.0.1:7447']],
  )
  await registry.close()
})

t.test('names are resolved again; while they do not resolve the view stays as it is', async t => {
  let answer: () => Promise<readonly SrvRecord[]> = async () => [record('a.example.', 1), record('b.example', 2)]
  const lists: string[][] = []
  const logger = keepingLogger()
  const registry = new DnsRegistry({
    name: '_parentfs._tcp.example',
    scheme: 'https',
    facts,
    logger,
    resolve: () => answer(),
    everyMs: 5,
  })
  t.teardown(() => registry.close())
  registry.watch({ onHeard: () => {}, onMembers: members => void lists.push(members.map(({ url }) => url)) })
  await until(() => lists.length > 1, 60_000, 'a second look')
  t.same(lists[0], ['https://a.example:1', 'https://b.example:2'])
  t.equal(registry.state.state, 'connected')
  answer = () => Promise.reject(new Error('SERVFAIL'))
  await until(() => registry.state.state === 'away', 60_000, 'it is away')
  const heard = lists.length
  const { lists: asked } = registry.state
  await until(() => registry.state.lists > asked + 3, 60_000, 'more looks')
  t.equal(lists.length, heard, 'no list is no empty list')
  t.equal(logger.lines.filter(({ level }) => level === 'warn').length, 1, 'it is said once')
  answer = async () => Array.from({ length: membersListedMax + 1 }, (_, k) => record(`h${k}.example`, 1))
  await until(() => lists.at(-1)!.length === membersListedMax, 60_000, 'as many as the bound')
  t.equal(registry.state.state, 'connected')
})
