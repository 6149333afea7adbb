/** Pending requests: memory that is lent for an answer. */
import t from 'tap'
import { PendingRequest } from '../../../src/fuse/kernel/pending-request.ts'

t.test('memory that is lent for an answer is given back once', async t => {
  const call = new PendingRequest({ opcode: 15, unique: 2n, nodeId: 1n, pid: 1 })
  let released = 0
  call.release()
  call.lend(() => released++)
  t.equal(released, 0)
  call.release()
  call.release()
  t.equal(released, 1)
})
