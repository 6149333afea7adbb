/**
 * The fuse-native transport on a real mount: the contract of every transport, and what only this one has.
 */
import { readdirSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { constants } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { fuseNativeThreads } from '../../../src/base/limits.ts'
import { mountAt } from '../../../src/daemon/mount/mount-table.ts'
import {
  type FuseNativeTransportOptions,
  fuseNativeCapabilities,
} from '../../../src/fuse/fuse-native/fuse-native-transport.ts'
import { loadAddon } from '../../../src/native/addon.ts'
import { transportContract } from '../../contract/transport.ts'
import { FakeBackend } from '../../fixtures/fake-backend.ts'
import { cannotMountFuseNative, mountFuseNative } from '../../fixtures/fuse-native-mount.ts'
import { attempt, run, start } from '../../fixtures/run.ts'
import { patienceMs, until } from '../../fixtures/until.ts'

const MiB = 2 ** 20
const skip = cannotMountFuseNative

t.test('every transport', { skip }, async t => {
  transportContract(t, { capabilities: fuseNativeCapabilities, mount: mountFuseNative })
})

/** A mount of one image; calls of `method` hang until `go` is called. */
async function hanging(t: Test, method: string, options: Partial<FuseNativeTransportOptions> = {}) {
  const backend = new FakeBackend()
  const known = backend.add({ name: 'a', sizeBytes: MiB })
  let release = () => {}
  backend.holdUntil = { method, promise: new Promise(resolve => (release = resolve)) }
  const mount = await mountFuseNative(t, backend, options)
  const go = () => {
    backend.holdUntil = null
    release()
  }
  return { ...mount, backend, known, path: join(mount.mountpoint, 'a'), go }
}

t.test('the mount table shows what the kernel transport shows', { skip }, async t => {
  const { mountpoint } = await mountFuseNative(t, new FakeBackend())
  t.match(await mountAt(mountpoint), { type: 'fuse.parentfs', source: 'test, with\\signs' })
})

t.test('mounts that follow each other at once are all served', { skip }, async t => {
  const backend = new FakeBackend()
  backend.add({ name: 'a', sizeBytes: MiB })
  const addon = loadAddon()
  const ends: Promise<number>[] = []
  for (let round = 0; round < 30; round++) {
    const { mountpoint, transport, stayUnmounted } = await mountFuseNative(t, backend)
    t.same(await readdir(mountpoint), ['a'])
    // Its loop ends some time after this, and its descriptor's number is the next one's.
    addon.unmount(mountpoint, true)
    stayUnmounted()
    ends.push(transport.ended)
  }
  t.same(new Set(await Promise.all(ends)), new Set([constants.errno.ENODEV]))
})

t.test('more readers than threads are all answered, and no thread is started beyond them', { skip }, async t => {
  const { backend, known, path, transport, go } = await hanging(t, 'read')
  const threads = () => readdirSync('/proc/self/task').length
  const before = threads()
  const readers = Array.from({ length: fuseNativeThreads + 16 }, (_, k) =>
    start('dd', [`if=${path}`, 'iflag=direct', 'bs=4096', 'count=1', `skip=${k}`, 'status=none']),
  )
  await until(() => transport.gauges().inFlight === fuseNativeThreads, patienceMs, 'every thread to be taken')
  t.ok(threads() - before <= fuseNativeThreads, `${threads() - before} more threads`)
  go()
  for (const [k, { ended }] of readers.entries()) {
    const { code, stdout } = await ended
    t.equal(code, 0)
    t.ok(stdout.equals(backend.bytesOf(known.image, k * 4096, 4096)), `reader ${k}`)
  }
  t.match(transport.gauges(), { inFlight: 0 })
  const after = threads()
  for (let round = 0; round < 3; round++) {
    await Promise.all(
      Array.from({ length: 24 }, () => run('dd', `if=${path}`, 'iflag=direct', 'bs=4k', 'of=/dev/null', 'status=none')),
    )
  }
  t.equal(threads(), after, 'threads neither end nor begin')
})

t.test('a read that nothing answers is an input/output error at its deadline, direct or not', { skip }, async t => {
  const { path, transport, logger } = await hanging(t, 'read', { deadlineMs: 200 })
  for (const flags of ['iflag=direct', 'iflag=fullblock']) {
    const { code, stderr } = await attempt('dd', `if=${path}`, flags, 'bs=4096', 'count=1')
    t.equal(code, 1)
    t.match(stderr, /Input\/output error/)
  }
  t.ok(transport.gauges().expired >= 2)
  t.match(logger.lines.at(-1), { level: 'warn', facts: { opcode: 'READ', path: '/a' } })
  t.equal((await run('stat', '-c', '%s', path)).toString(), `${MiB}\n`)
})

t.test('a name stays with the version that is open, and shows the next one when it is closed', { skip }, async t => {
  const backend = new FakeBackend()
  const before = backend.add({ name: 'a', sizeBytes: MiB, validator: 'v1' })
  const { mountpoint, transport } = await mountFuseNative(t, backend)
  const path = join(mountpoint, 'a')
  const closing = join(t.testdir(), 'closing')
  const holding = `exec 3<"${path}"; echo; while [ ! -e "${closing}" ]; do sleep 0.05; done; cat <&3`
  const holder = start('sh', ['-c', holding])
  await new Promise(resolve => holder.child.stdout!.once('data', resolve))
  const after = backend.add({ name: 'a', sizeBytes: 2 * MiB + 1, validator: 'v2' })
  t.equal((await run('stat', '-c', '%s', path)).toString().trim(), `${MiB}`)
  t.ok((await run('cat', path)).equals(backend.bytesOf(before.image, 0, MiB)), 'a second open has the same version')
  await run('touch', closing)
  t.ok((await holder.ended).stdout.subarray(-MiB).equals(backend.bytesOf(before.image, 0, MiB)))
  await until(() => transport.gauges().openImages === 0, patienceMs, 'the release')
  t.ok((await run('cat', path)).equals(backend.bytesOf(after.image, 0, 2 * MiB + 1)), 'the new version, whole')
  t.equal((await run('stat', '-c', '%s', path)).toString().trim(), `${2 * MiB + 1}`)
  t.equal(transport.gauges().nodes, 1, 'the old one is forgotten')
})

t.test('an open that is answered too late leaves nothing open', { skip }, async t => {
  const { backend, known, path, transport, go } = await hanging(t, 'open', { deadlineMs: 200 })
  t.match((await attempt('cat', path)).stderr, /Input\/output error/)
  go()
  await until(() => backend.opens.get(known.image.id) === 0, patienceMs, 'the release')
  t.equal(transport.gauges().openImages, 0)
})

t.test('an external unmount ends the session, with requests that wait', { skip }, async t => {
  const { path, mountpoint, transport, stayUnmounted } = await hanging(t, 'read', { deadlineMs: 1000 })
  const reader = start('cat', [path])
  await until(() => transport.gauges().inFlight > 0, patienceMs, 'the read')
  await run('umount', '-f', '-l', mountpoint)
  stayUnmounted()
  t.not((await reader.ended).code, 0)
  t.equal(await transport.ended, constants.errno.ENODEV)
})
