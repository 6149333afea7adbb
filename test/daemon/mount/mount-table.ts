/** /proc/self/mountinfo as the kernel writes it. */
import t from 'tap'
import { mountAt, parseMountTable } from '../../../src/daemon/mount/mount-table.ts'

t.test('fields before the dash may be any number, and names may be escaped', async t => {
  const text = [
    '36 35 98:0 / /mnt rw,noatime master:1 propagate_from:2 - ext3 /dev/root rw,errors=continue',
    '60 36 0:52 / /mnt/with\\040space\\134 ro,nosuid shared:7 - fuse.parentfs http://host/a\\040b/ ro,user_id=0',
    '',
    'garbage',
  ].join('\n')
  t.same(parseMountTable(text), [
    { id: 36, device: '98:0', mountpoint: '/mnt', type: 'ext3', source: '/dev/root', isShared: false },
    {
      id: 60,
      device: '0:52',
      mountpoint: '/mnt/with space\\',
      type: 'fuse.parentfs',
      source: 'http://host/a b/',
      isShared: true,
    },
  ])
})

t.test('what is mounted here is found, and what is not is not', async t => {
  t.equal((await mountAt('/proc'))?.type, 'proc')
  t.equal(await mountAt('/proc/self'), null)
})
