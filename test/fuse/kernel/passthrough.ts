/** Passthrough and a kernel: what is open outlives the worker that gave it, and what its successor can know of it. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { passthroughFlag } from '../../../src/fuse/kernel/negotiation.ts'
import type { StoreFile } from '../../../src/native/addon.ts'
import { FakeBackend } from '../../fixtures/fake-backend.ts'
import { fakeTransport } from '../../fixtures/fake-transport.ts'
import { cannotMount, mountKernel } from '../../fixtures/kernel-mount.ts'
import { pattern } from '../../fixtures/pattern.ts'
import { type Running, start } from '../../fixtures/run.ts'
import { patienceMs, until } from '../../fixtures/until.ts'

const sizeBytes = 1024 * 1024
/** Opens a file, says so, and prints what it reads whenever it hears a line. */
const reader = `import sys
f=open(sys.argv[1],"rb",buffering=0); print("open",flush=True)
for line in sys.stdin: f.seek(4096); print(f.read(4).hex(),flush=True)`

/** A reader that has the file open. */
async function readerOf(path: string): Promise<Running & { ask(): Promise<string> }> {
  const running = start('python3', ['-c', reader, path], { stdin: 'pipe' })
  let said = ''
  running.child.stdout!.on('data', chunk => {
    said += chunk
  })
  await until(() => said.includes('open\n') || running.child.exitCode !== null, patienceMs, 'the reader')
  const ask = async () => {
    const from = said.length
    running.child.stdin!.write('\n')
    await until(() => said.length > from, patienceMs, 'its answer')
    return said.slice(from).trim()
  }
  return { ...running, ask }
}

async function setUp(t: Test) {
  const backend = new FakeBackend()
  const { image } = backend.add({ name: 'a', sizeBytes })
  const mount = await mountKernel(t, backend)
  const directory = await mkdtemp(join(tmpdir(), 'parentfs-passthrough-'))
  t.teardown(() => rm(directory, { recursive: true }))
  const dataFile = join(directory, 'data')
  // Other bytes than the backend has: they tell the source of an answer.
  await writeFile(dataFile, Buffer.alloc(sizeBytes, 0xee))
  /** As another process would: with a descriptor of its own. */
  const openFile = async () => {
    backend.file?.close()
    backend.file = await mount.engine.openFile(dataFile, sizeBytes, 4096)
    return backend.file
  }
  await openFile()
  t.teardown(() => backend.file?.close())
  backend.offered.add(image.id)
  return { backend, image, mount, openFile, path: join(mount.mountpoint, 'a') }
}

const byUs = Buffer.from(pattern(0, 4096, 4)).toString('hex')
const byKernel = 'eeeeeeee'

t.test('an open outlives its worker, and is known by the lease', { skip: cannotMount }, async t => {
  const { backend, image, mount, openFile, path } = await setUp(t)
  if (((await mount.transport().ready).flags2 & passthroughFlag) === 0)
    return t.pass('passthrough', { skip: 'the kernel offers no passthrough' })
  const old = await readerOf(path)
  t.equal(await old.ask(), byKernel)
  t.same([backend.counts.reads, backend.held.get(image.id)], [0, 1])
  // One that is killed closes nothing.
  mount.session().openBacking(backend.file!)
  await mount.takeOver()
  const file = await openFile()
  t.equal(backend.held.get(image.id), 0)
  t.equal(await old.ask(), byKernel, 'after the takeover')
  t.equal(file.isOpenElsewhere(), true, 'its successor sees that somebody reads')
  // As the store does: memory that another reader holds is not given.
  backend.offered.clear()
  const between = await readerOf(path)
  t.equal(await between.ask(), byUs, 'the node of the earlier one is stale, and the name is looked up again')
  old.child.stdin!.end()
  await old.ended
  await until(
    () => !file.isOpenElsewhere(),
    patienceMs,
    'the last reader: no backing file of the earlier worker is left',
  )
  backend.offered.add(image.id)
  await until(async () => (await readAgain(path)) === byKernel, patienceMs, 'the next open by passthrough')
  t.equal(await between.ask(), byUs, 'who has it open goes on as before')
  between.child.stdin!.end()
  await between.ended
})

t.test('an open that meets a takeover is refused once at most', { skip: cannotMount }, async t => {
  const { backend, mount, path } = await setUp(t)
  if (((await mount.transport().ready).flags2 & passthroughFlag) === 0)
    return t.pass('passthrough', { skip: 'the kernel offers no passthrough' })
  let mayGoOn = () => {}
  const untilThen = new Promise<void>(resolve => (mayGoOn = resolve))
  // It is told by its other node, and opens of that cannot be answered: by no worker. The next lookup waits.
  backend.passthrough.begin = () => {
    backend.holdUntil = { method: 'lookup', promise: untilThen }
    return null
  }
  const opening = readerOf(path)
  await until(() => backend.holdUntil !== null, patienceMs, 'the open')
  await mount.takeOver()
  mayGoOn()
  const opened = await opening
  t.equal(await opened.ask(), byUs)
  opened.child.stdin!.end()
  await opened.ended
})

t.test('backing files of an earlier worker stay while a reader may come to take one', async t => {
  const flags = { minor: 45, flags: 0, flags2: passthroughFlag, maxReadaheadBytes: 131072 }
  const { session, transport } = fakeTransport(new FakeBackend(), { negotiated: flags })
  session.openBacking({} as StoreFile)
  await transport.ready
  t.match(transport.passthroughOff, /taken over/)
  t.equal(session.backings.size, 1)
  await until(() => session.backings.size === 0, patienceMs, 'the end of it')
  t.equal(transport.passthroughOff, null)
  await transport.stop()
})

t.test('without the setting, nothing of it is agreed', { skip: cannotMount }, async t => {
  const backend = new FakeBackend()
  const mount = await mountKernel(t, backend, { passthroughOff: 'not wanted' })
  t.equal((await mount.transport().ready).flags2 & passthroughFlag, 0)
  t.equal(mount.transport().passthroughOff, 'not wanted')
})

async function readAgain(path: string): Promise<string> {
  const again = await readerOf(path)
  const bytes = await again.ask()
  again.child.stdin!.end()
  await again.ended
  return bytes
}
