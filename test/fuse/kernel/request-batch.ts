/** Batches of requests, laid out by hand. */
import t from 'tap'
import { readRequests } from '../../../src/fuse/kernel/request-batch.ts'
import { queued, rawRequest } from '../../fixtures/fake-session.ts'

function readAll(batch: Uint8Array) {
  const requests: { bytes: Buffer; waitedMs: number }[] = []
  const lost = readRequests(batch, (bytes, waitedMs) => requests.push({ bytes: Buffer.from(bytes), waitedMs }))
  return { requests, lost }
}

const first = Buffer.from(rawRequest({ opcode: 15, unique: 2n, body: Buffer.alloc(3, 7) }))
const second = Buffer.from(rawRequest({ opcode: 14, unique: 4n, body: Buffer.alloc(8, 9) }))

t.test('each request comes as the kernel sent it, with the time that it has waited', async t => {
  const batch = Buffer.concat([queued(first, 70_000), queued(second)])
  const requests = [
    { bytes: first, waitedMs: 70_000 },
    { bytes: second, waitedMs: 0 },
  ]
  t.same(readAll(batch), { requests, lost: 0 })
  // A batch may begin anywhere in a larger buffer.
  t.same(readAll(Buffer.concat([Buffer.alloc(5), batch]).subarray(5)), { requests, lost: 0 })
  t.same(readAll(new Uint8Array(0)), { requests: [], lost: 0 })
})

t.test('from a record on that has lost its frame nobody gets anything', async t => {
  const whole = Buffer.from(queued(first))
  for (const length of [0, 39, second.length + 1, 0xffffffff]) {
    const broken = Buffer.from(queued(second))
    broken.writeUInt32LE(length)
    const { requests, lost } = readAll(Buffer.concat([whole, broken, whole]).subarray(0, whole.length + broken.length))
    t.equal(requests.length, 1, String(length))
    t.equal(lost, broken.length, String(length))
  }
})
