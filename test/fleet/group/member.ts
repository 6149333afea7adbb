import t from 'tap'
import { weightMax } from '../../../src/fleet/group/limits.ts'
import { formatMember, type Member, parseMember } from '../../../src/fleet/group/member.ts'

const member: Member = {
  id: '10.0.0.5:7447',
  url: 'https://10.0.0.5:7447',
  rack: 'r1',
  weight: 2,
  blockBytes: 65_536,
  state: 'up',
  since: 12,
}

t.test('a record is read as it was written', async t => {
  t.same(parseMember(member.id, formatMember(member)), member)
})

t.test('a hostile record is none', async t => {
  const with_ = (facts: object) => JSON.stringify({ ...JSON.parse(formatMember(member)), ...facts })
  const bad = [
    'x',
    'null',
    '[]',
    with_({ v: 2 }),
    with_({ url: 'ftp://10.0.0.5' }),
    with_({ url: 'https://user:word@10.0.0.5' }),
    with_({ url: 7 }),
    with_({ url: `https://${'a'.repeat(600)}` }),
    with_({ weight: 'heavy' }),
    with_({ weight: null }),
    with_({ blockBytes: 1.5 }),
    with_({ state: 'dead' }),
    with_({ rack: 'r'.repeat(200) }),
    with_({ since: 'now' }),
  ]
  for (const text of bad) t.equal(parseMember(member.id, text), null, text.slice(0, 80))
  for (const id of ['', 'a/b', 'a\nb', 'x'.repeat(129)]) t.equal(parseMember(id, formatMember(member)), null, id)
  t.equal(parseMember(member.id, with_({ weight: 1e9 }))?.weight, weightMax, 'no member owns the group')
  t.equal(parseMember(member.id, with_({ url: 'https://10.0.0.5:7447/path?q#f' }))?.url, member.url)
})
