/** Bytes sent, by member: ids that are none are not counted, and the bound holds. */
import t from 'tap'
import { sentMembersMax } from '../../../src/fleet/server/limits.ts'
import { SentBytes } from '../../../src/fleet/server/sent-bytes.ts'

t.test('bytes are added up by member; nonsense is left out', async t => {
  const sent = new SentBytes()
  sent.add('10.0.0.1:7447', 5)
  sent.add('10.0.0.1:7447', 6)
  for (const said of [undefined, '', 'a b', ['a'], 'x'.repeat(129)]) sent.add(said, 1)
  t.equal(sent.of('10.0.0.1:7447'), 11)
  t.equal(sent.of('a b'), 0)
})

t.test('one member more than the bound: the one of longest ago is forgotten', async t => {
  const sent = new SentBytes()
  for (let k = 0; k <= sentMembersMax; k++) sent.add(`m${k}`, 1)
  t.equal(sent.of('m0'), 0)
  t.equal(sent.of('m1'), 1)
})
