/** The options after -o. */
import t from 'tap'
import { parseMountOptions } from '../../../src/cli/commands/mount-options.ts'

t.test('options of several -o add up, and a later one wins', async t => {
  t.same(parseMountOptions(['uid=1000,gid=7', 'mode=0440,allow_other,uid=5']), {
    attributes: { uid: 5, gid: 7, mode: '0440' },
    allowOther: true,
    origin: {},
  })
  t.same(parseMountOptions([]), { attributes: { uid: null, gid: null }, allowOther: null, origin: {} })
  t.same(parseMountOptions(['on_outage=fail,miss_seconds=60', 'on_outage=wait']).origin, {
    onOutage: 'wait',
    missTimeout: '60s',
  })
})

t.test('what the mount is anyway may be said', async t => {
  t.doesNotThrow(() => parseMountOptions(['ro,nosuid,nodev,noauto,_netdev,default_permissions']))
  t.equal(parseMountOptions(['noallow_other']).allowOther, false)
})

t.test('anything else is refused', async t => {
  for (const text of [
    'rw',
    'uid=root',
    'uid=',
    'uid',
    'uid=4294967295',
    'mode=644',
    'mode=9',
    'mode=0444x',
    'sudo',
    'on_outage=panic',
    'on_outage',
    'miss_seconds=0',
    'miss_seconds=1.5',
    'miss_seconds=soon',
    'allow_other=1',
  ]) {
    t.throws(() => parseMountOptions([text]), { code: 'invalid-argument' }, text)
  }
})
