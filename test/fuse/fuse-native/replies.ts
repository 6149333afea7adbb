/** Numbers for libfuse, and handles. */
import t from 'tap'
import { OpenFiles } from '../../../src/fuse/fuse-native/open-files.ts'
import { joined, statfsNumbers, statReply } from '../../../src/fuse/fuse-native/replies.ts'

const attributes = {
  nodeId: 5n,
  inode: 5n,
  mode: 0o100444,
  links: 1,
  uid: 3,
  gid: 4,
  sizeBytes: 3 * 2 ** 40 + 7,
  blocks: 6 * 2 ** 30 + 1,
  preferredBytes: 2 ** 20,
  modifiedMs: 1_600_000_000_500.75,
}

t.test('sizes, blocks and times have two halves', async t => {
  const [mode, uid, gid, low, high, , links, inode, , preferred, blocks, blocksHigh, ...times] = statReply(attributes)
  t.same(
    { mode, uid, gid, links, inode, preferred },
    { mode: 0o100444, uid: 3, gid: 4, links: 1, inode: 0, preferred: 2 ** 20 },
  )
  t.equal(joined(low!, high!), attributes.sizeBytes)
  t.equal(joined(blocks!, blocksHigh!), attributes.blocks)
  t.same(
    [0, 2, 4].map(k => joined(times[k]!, times[k + 1]!)),
    Array(3).fill(1_600_000_000_500),
  )
  t.same([...statReply({ ...attributes, modifiedMs: -1 })].slice(12), [0, 0, 0, 0, 0, 0])
})

t.test('a capacity of any size is counted in 32 bits', async t => {
  for (const totalBytes of [64 * 2 ** 20, 16 * 2 ** 40 - 4096, 16 * 2 ** 40, 2 ** 53 - 1]) {
    const [unit, , blocks, free, available, files] = statfsNumbers({ totalBytes, freeBytes: totalBytes / 2, files: 9 })
    t.ok(Math.abs(unit! * blocks! - totalBytes) < unit!, `${totalBytes}`)
    t.ok(Math.abs(unit! * free! - totalBytes / 2) < unit!)
    t.same([available, files], [free, 9])
  }
})

t.test('handles fit 31 bits, are never 0, and none is given out twice', async t => {
  const released: string[] = []
  const files = new OpenFiles((path, nodeId) => void released.push(`${path} ${nodeId}`), 2 ** 31 - 3)
  const first = files.add('/a', 5n)
  t.same([first, files.add('/b', 6n), files.add('/c', 7n)], [2 ** 31 - 2, 2 ** 31 - 1, 1])
  t.equal(files.nodeId(first), 5n)
  files.release(first)
  files.release(first)
  t.same(released, ['/a 5'])
  t.throws(() => files.nodeId(first), { code: 'stale-node' })
  t.equal(files.count, 2)
  const busy = new OpenFiles(() => {}, 2 ** 31 - 2)
  busy.add('/a', 1n)
  busy.add('/a', 1n)
  const again = new OpenFiles(() => {})
  t.not(again.add('/a', 1n), again.add('/a', 1n))
})
