/** Nodes of an earlier process: asked about in the background, once each, and remembered up to a limit. */
import t from 'tap'
import { ForgottenNodes } from '../../../src/fuse/filesystem/forgotten-nodes.ts'
import { forgottenNodesMax } from '../../../src/fuse/filesystem/limits.ts'
import { nextIteration } from '../../fixtures/deferred.ts'

function setUp() {
  const forgotten = new Set<bigint>()
  const asked: bigint[] = []
  const nodes = new ForgottenNodes(async nodeId => {
    asked.push(nodeId)
    return forgotten.has(nodeId)
  })
  return { forgotten, asked, nodes }
}

t.test('a node that the kernel knows is asked about at each look, one question at a time', async t => {
  const { asked, nodes } = setUp()
  t.same([nodes.has(5n), nodes.has(5n)], [false, false])
  t.same(asked, [5n], 'the second look finds the question under way')
  await nextIteration()
  t.equal(nodes.has(5n), false)
  t.same(asked, [5n, 5n])
})

t.test('a node that was forgotten is ours from then on, even when the kernel learns of it again', async t => {
  const { forgotten, asked, nodes } = setUp()
  forgotten.add(5n)
  t.equal(nodes.has(5n), false, 'not known yet')
  await nextIteration()
  forgotten.clear()
  t.equal(nodes.has(5n), true)
  await nextIteration()
  t.equal(nodes.has(5n), true)
  t.same(asked, [5n])
  t.equal(nodes.has(6n), false, 'each node by itself')
})

t.test('one node more than are remembered makes the coldest be asked about again', async t => {
  const { forgotten, asked, nodes } = setUp()
  for (let nodeId = 0n; nodeId <= BigInt(forgottenNodesMax); nodeId++) forgotten.add(nodeId)
  for (let nodeId = 0n; nodeId < BigInt(forgottenNodesMax); nodeId++) nodes.has(nodeId)
  await nextIteration()
  t.equal(nodes.has(0n), true, 'used now: the coldest is another one')
  nodes.has(BigInt(forgottenNodesMax))
  await nextIteration()
  const { length } = asked
  t.same([nodes.has(0n), nodes.has(1n)], [true, false])
  t.same(asked.slice(length), [1n])
})
