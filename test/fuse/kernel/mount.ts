/**
 * The kernel transport on a real mount: the contract of every transport, and what only this one has.
 */
import { open } from 'node:fs/promises'
import { constants } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type KernelTransportOptions, kernelCapabilities } from '../../../src/fuse/kernel/kernel-transport.ts'
import { hasResend } from '../../../src/fuse/kernel/negotiation.ts'
import { transportContract } from '../../contract/transport.ts'
import { FakeBackend } from '../../fixtures/fake-backend.ts'
import { cannotMount, mountKernel } from '../../fixtures/kernel-mount.ts'
import { attempt, run, start } from '../../fixtures/run.ts'
import { patienceMs, until } from '../../fixtures/until.ts'
import { writeBlocks } from '../../fixtures/write-blocks.ts'

const MiB = 2 ** 20
const skip = cannotMount

t.test('every transport', { skip }, async t => {
  transportContract(t, { capabilities: kernelCapabilities, mount: mountKernel })
})

/** A mount of one image; calls of `method` hang until `go` is called. */
async function hanging(t: Test, method: string, options: Partial<KernelTransportOptions> = {}) {
  const backend = new FakeBackend()
  const known = backend.add({ name: 'a', sizeBytes: MiB })
  let release = () => {}
  backend.holdUntil = { method, promise: new Promise(resolve => (release = resolve)) }
  const mount = await mountKernel(t, backend, options)
  const go = () => {
    backend.holdUntil = null
    release()
  }
  return { backend, known, mount, path: join(mount.mountpoint, 'a'), go, gauges: () => mount.transport().gauges() }
}

/**
 * Opens a file, answers every USR1 with a line, and prints how many bytes it read: 0 bytes, or an error, would show.
 */
const readerWithSignals =
  '$|=1; $SIG{USR1} = sub { print "signal\n" }; print "begin\n"; open F, "<", $ARGV[0] or die $!; print sysread(F, $b, 4096) // "error $!", "\n"'

t.test('a reader that is killed while a read hangs dies at once', { skip }, async t => {
  const { backend, path, gauges } = await hanging(t, 'read')
  const { child, ended } = start('cat', [path])
  await until(() => backend.signals.length > 0, patienceMs, 'the read has begun')
  child.kill('SIGKILL')
  t.equal((await ended).signal, 'SIGKILL')
  t.equal(gauges().expired, 0, 'no deadline was waited for')
})

t.test('whoever is killed, by whatever signal, while a lookup hangs dies at once', { skip }, async t => {
  const { backend, path, gauges } = await hanging(t, 'lookup')
  for (const [k, signal] of (['SIGKILL', 'SIGTERM', 'SIGINT'] as const).entries()) {
    const { child, ended } = start('stat', [path])
    await until(() => backend.counts.lookups === k + 1, patienceMs, 'the lookup has begun')
    child.kill(signal)
    t.equal((await ended).signal, signal)
    t.equal(gauges().expired, 0, 'no deadline was waited for')
    t.equal(gauges().killed, k + 1, 'answered EINTR')
    t.equal(gauges().inFlight, 0)
  }
})

t.test('harmless signals break no slow lookup and no slow read', { skip }, async t => {
  for (const method of ['lookup', 'read']) {
    const { backend, path, go, gauges } = await hanging(t, method)
    const { child, ended } = start('perl', ['-e', readerWithSignals, path])
    await until(() => gauges().inFlight === 1, patienceMs, 'the request has begun')
    child.kill('SIGUSR1')
    if (method === 'lookup') await until(() => gauges().interrupted === 1, patienceMs, 'the interrupt has come')
    for (let k = 0; k < 20; k++) child.kill('SIGUSR1')
    t.equal(gauges().killed, 0)
    go()
    const { code, stdout } = await ended
    t.equal(code, 0)
    t.equal(stdout.toString().trim().split('\n').at(-1), '4096', method)
    t.ok(backend.counts.reads >= 1)
  }
})

t.test('a read that nothing answers is an input/output error at its deadline, direct or not', { skip }, async t => {
  const { path, gauges } = await hanging(t, 'read', { deadlineMs: 200 })
  for (const flags of ['iflag=direct', 'iflag=fullblock']) {
    const { code, stderr } = await attempt('dd', `if=${path}`, flags, 'bs=4096', 'count=1')
    t.equal(code, 1)
    t.match(stderr, /Input\/output error/)
  }
  t.ok(gauges().expired >= 2)
  t.equal((await run('stat', '-c', '%s', path)).toString(), `${MiB}\n`)
})

t.test('an O_DIRECT reader that is killed ends at the latest at the deadline', { skip }, async t => {
  const { backend, path } = await hanging(t, 'read', { deadlineMs: 500 })
  const { child, ended } = start('dd', [`if=${path}`, 'iflag=direct', 'bs=4096', 'count=1'])
  await until(() => backend.signals.length > 0, patienceMs, 'the read has begun')
  child.kill('SIGKILL')
  t.equal((await ended).signal, 'SIGKILL')
})

t.test('a successor on the same mount goes on with open files and open requests', { skip }, async t => {
  const { backend, known, mount, path, go } = await hanging(t, 'read')
  const { ended } = start('dd', [`if=${path}`, 'iflag=direct', 'bs=1M', 'count=1', 'status=none'])
  await until(() => backend.signals.length > 0, patienceMs, 'the read has begun')
  await mount.takeOver()
  t.equal(backend.signals[0]?.aborted, true, 'the predecessor has let go')
  const { flags2 } = await mount.transport().ready
  if (!(flags2 & hasResend)) {
    t.pass('the open request', { skip: 'this kernel does not resend: it is lost with the predecessor' })
    return
  }
  await until(() => backend.signals.length > 1, patienceMs, 'the read has come again')
  go()
  const { code, stdout } = await ended
  t.equal(code, 0)
  t.ok(stdout.equals(backend.bytesOf(known.image, 0, MiB)))
  t.notOk('INIT' in mount.transport().gauges().requests)
  t.notOk('OPEN' in mount.transport().gauges().requests)
  await until(() => backend.opens.get(known.image.id) === 0, patienceMs, 'the image was released')
})

t.test('a data file that is bound answers natively, under the node id', { skip }, async t => {
  const backend = new FakeBackend()
  const { image, nodeId } = backend.add({ name: 'a', sizeBytes: MiB + 5 })
  const mount = await mountKernel(t, backend)
  const file = await mount.engine.openFile(join(t.testdir(), 'data'), image.sizeBytes, 65536)
  t.teardown(() => file.close())
  await writeBlocks(file, 0, backend.bytesOf(image, 0, image.sizeBytes))
  Atomics.store(new BigUint64Array(file.table), 0, (1n << 17n) - 1n)
  backend.file = file
  const bytes = await run('dd', `if=${join(mount.mountpoint, 'a')}`, 'iflag=direct', 'bs=1M', 'status=none')
  t.ok(bytes.equals(backend.bytesOf(image, 0, image.sizeBytes)))
  t.equal(backend.counts.reads, 0)
  t.ok(mount.transport().counters().hits >= 2)
  t.ok(nodeId > 0n)
})

t.test('closing asks nothing: there is no FLUSH', { skip }, async t => {
  const backend = new FakeBackend()
  backend.add({ name: 'a', sizeBytes: 10 })
  const { mountpoint, transport } = await mountKernel(t, backend)
  for (let k = 0; k < 5; k++) await run('cat', join(mountpoint, 'a'))
  t.equal(transport().gauges().requests.FLUSH ?? 0, 0)
  t.equal(transport().gauges().requests.OPEN, 5)
})

t.test('an external unmount ends the session', { skip }, async t => {
  const { mountpoint, transport, stayUnmounted } = await mountKernel(t, new FakeBackend())
  await run('umount', mountpoint)
  stayUnmounted()
  t.equal(await transport().ended, constants.errno.ENODEV)
})

t.test(
  'the kernel says which nodes it knows, to a successor too, and lets go of a name that is lost',
  { skip },
  async t => {
    const backend = new FakeBackend()
    const { nodeId } = backend.add({ name: 'a', sizeBytes: MiB })
    const mount = await mountKernel(t, backend)
    const knows = (name: string | null = null) =>
      mount.transport().knows(nodeId, name === null ? null : { directory: null, name })
    t.equal(await knows(), false, 'nobody has looked it up')
    const file = await open(join(mount.mountpoint, 'a'))
    t.equal(await knows(), true)
    await mount.takeOver()
    t.equal(mount.transport().gauges().nodes, 0, 'the successor has not heard of it')
    t.equal(await knows('a'), true, 'it is open')
    t.equal(await knows('a'), true, 'also without its name')
    await file.close()
    await until(async () => !(await knows('a')), patienceMs, 'the end of it')
    const again = await open(join(mount.mountpoint, 'a'))
    await again.close()
    t.equal(await knows(), true, 'its name keeps it')
    t.equal(await knows(), true)
    await knows('a')
    await until(async () => !(await knows()), patienceMs, 'its end')
    t.equal(mount.transport().gauges().nodes, 0)
  },
)
