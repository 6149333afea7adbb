/** INIT. */
import t from 'tap'
import { hasResend, initFlags, initReply, negotiate, passthroughFlag } from '../../../src/fuse/kernel/negotiation.ts'

const all = { major: 7, minor: 45, maxReadaheadBytes: 131072, flags: 0xffffffff, flags2: 0xffffffff }

t.test('of everything, what the design asks for is taken and locks are not', async t => {
  const negotiated = negotiate(all, false)
  t.ok(negotiated)
  const { ASYNC_READ, ASYNC_DIO, PARALLEL_DIROPS, MAX_PAGES, DO_READDIRPLUS, READDIRPLUS_AUTO, INIT_EXT } = initFlags
  for (const flag of [ASYNC_READ, ASYNC_DIO, PARALLEL_DIROPS, MAX_PAGES, DO_READDIRPLUS, READDIRPLUS_AUTO, INIT_EXT]) {
    t.ok(negotiated!.flags & flag)
  }
  const { POSIX_LOCKS, FLOCK_LOCKS, AUTO_INVAL_DATA, EXPORT_SUPPORT, WRITEBACK_CACHE, NO_OPEN_SUPPORT } = initFlags
  t.equal(negotiated!.flags & (POSIX_LOCKS | FLOCK_LOCKS | AUTO_INVAL_DATA | EXPORT_SUPPORT), 0)
  t.equal(negotiated!.flags & (WRITEBACK_CACHE | NO_OPEN_SUPPORT), 0)
  t.equal(negotiated!.flags2, hasResend)
  t.same(JSON.parse(JSON.stringify(negotiated)), negotiated, 'plain JSON')
})

t.test('what is not offered is not taken', async t => {
  t.match(negotiate({ ...all, flags: 0 }, false), { flags: 0, flags2: 0 })
  t.match(negotiate({ ...all, flags: initFlags.INIT_EXT, flags2: 0 }, false), { flags: initFlags.INIT_EXT, flags2: 0 })
  t.match(negotiate({ ...all, minor: 31 }, false), { minor: 31 })
  t.match(negotiate({ ...all, minor: 99 }, false), { minor: 45 })
})

t.test('kernels of another age', async t => {
  t.equal(negotiate({ ...all, major: 8 }, false), null)
  t.throws(() => negotiate({ ...all, major: 6 }, false), { code: 'foreign-protocol' })
  t.throws(() => negotiate({ ...all, minor: 27 }, false), { code: 'foreign-protocol' })
  t.ok(negotiate({ ...all, minor: 28 }, false))
})

t.test('the reply lies as the kernel reads it', async t => {
  const negotiated = negotiate(all, false)!
  const bytes = Buffer.from(initReply(negotiated))
  t.equal(bytes.length, 64)
  t.same(
    [0, 4, 8, 12].map(at => bytes.readUInt32LE(at)),
    [7, 45, 131072, negotiated.flags],
  )
  t.same(
    [16, 18].map(at => bytes.readUInt16LE(at)),
    [65535, 49151],
  )
  t.same(
    [20, 24].map(at => bytes.readUInt32LE(at)),
    [4096, 1],
  )
  t.same(
    [28, 30].map(at => bytes.readUInt16LE(at)),
    [256, 0],
  )
  t.equal(bytes.readUInt32LE(32), hasResend)
  const again = Buffer.from(initReply(null))
  t.same([again.readUInt32LE(0), again.readUInt32LE(4)], [7, 0])
})

t.test('passthrough is taken where it is offered and wanted, with the depth that it needs', async t => {
  const { INIT_EXT } = initFlags
  t.equal(negotiate(all, true)?.flags2, hasResend | passthroughFlag)
  t.equal(negotiate({ ...all, flags2: hasResend }, true)?.flags2, hasResend)
  t.equal(negotiate({ ...all, flags: ~INIT_EXT }, true)?.flags2, 0)
  const depth = (wanted: boolean) => Buffer.from(initReply(negotiate(all, wanted))).readUInt32LE(36)
  t.same([depth(true), depth(false)], [1, 0])
})
