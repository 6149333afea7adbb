import t from 'tap'
import { BufferPool } from '../../../src/cache/fetch/buffer-pool.ts'
import { patienceMs, until } from '../../fixtures/until.ts'

const KiB = 1024

t.test('memory is lent again when nobody has it any more, and not before', async t => {
  const memory = new BufferPool()
  const first = memory.lend(100 * KiB)
  t.equal(first.bytes.length, 100 * KiB)
  first.retain()
  first.release()
  const second = memory.lend(100 * KiB)
  t.not(second.bytes.buffer, first.bytes.buffer, 'one holder is left')
  first.release()
  const third = memory.lend(128 * KiB)
  t.equal(third.bytes.buffer, first.bytes.buffer)
  t.equal(third.bytes.length, 128 * KiB)
})

t.test('what is given back twice, or held after its end, is a mistake that is told', async t => {
  const lease = new BufferPool().lend(64 * KiB)
  lease.release()
  t.throws(() => lease.release(), /after its end/)
  t.throws(() => lease.retain(), /after its end/)
  t.throws(() => lease.discard(), /that others hold/)
})

t.test('what somebody may still write to is not lent again', async t => {
  const memory = new BufferPool()
  const lease = memory.lend(64 * KiB)
  lease.discard()
  t.not(memory.lend(64 * KiB).bytes.buffer, lease.bytes.buffer)
})

t.test('no more is kept than with what is lent makes the bound, and nothing when it is idle', async t => {
  const memory = new BufferPool({ keptBytesMax: 256 * KiB, idleMs: 20 })
  const leases = Array.from({ length: 6 }, () => memory.lend(64 * KiB))
  for (const lease of leases) lease.release()
  t.equal(memory.freeBytes, 256 * KiB)
  memory.lend(64 * KiB)
  t.equal(memory.freeBytes, 192 * KiB)
  await until(() => memory.freeBytes === 0, patienceMs, 'the end of an idle while')
})

t.test('what is small is not kept', async t => {
  const memory = new BufferPool()
  memory.lend(4 * KiB).release()
  t.equal(memory.freeBytes, 0)
})

t.test('free ones of another length make room for what comes back', async t => {
  const memory = new BufferPool({ keptBytesMax: 256 * KiB, idleMs: 60_000 })
  const small = Array.from({ length: 4 }, () => memory.lend(32 * KiB))
  for (const lease of small) lease.release()
  t.equal(memory.freeBytes, 128 * KiB)
  const first = memory.lend(128 * KiB)
  memory.lend(64 * KiB)
  first.release()
  t.equal(memory.freeBytes, 128 * KiB, 'the small ones have left: no more than 192 KiB were lent at once')
  t.equal(memory.lend(128 * KiB).bytes.buffer, first.bytes.buffer)
})

t.test('as many bytes are kept as were lent at once of late, whatever their lengths were', async t => {
  const memory = new BufferPool({ idleMs: 60_000 })
  for (const length of [64 * KiB, 128 * KiB, 256 * KiB]) {
    const leases = Array.from({ length: (512 * KiB) / length }, () => memory.lend(length))
    for (const lease of leases) lease.release()
    t.equal(memory.freeBytes, 512 * KiB)
  }
})

t.test('bytes that are free while others are lent go in time, too', async t => {
  const memory = new BufferPool({ idleMs: 20 })
  const [held, ...others] = Array.from({ length: 4 }, () => memory.lend(64 * KiB))
  for (const lease of others) lease.release()
  t.equal(memory.freeBytes, 192 * KiB)
  await until(() => memory.freeBytes === 0, patienceMs, 'an end of the free ones')
  held!.release()
  t.equal(memory.freeBytes, 64 * KiB)
})
