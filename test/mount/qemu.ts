/** qemu finds in a mount what it finds in a directory: images, holes, chains, in every cache and aio mode. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { cannotMount, capabilities, mountDaemon, type Place, place } from '../fixtures/daemon.ts'
import { spawnHttpOrigin } from '../fixtures/http-origin.ts'
import { attempt, run } from '../fixtures/run.ts'

const options = { skip: cannotMount }

/** Stretches of the sample images, with the byte that fills them; the rest is a hole. */
const stretches = [
  { pattern: '0x11', offset: '0', length: '1M' },
  { pattern: '0x22', offset: '4194303', length: '3' },
  { pattern: '0x33', offset: '5M', length: '300k' },
  { pattern: '0x00', offset: '9M', length: '64k' },
  { pattern: '0x44', offset: '25164800', length: '1024' },
]
const sizeBytes = 24 * 1024 ** 2 + 7 * 1024

const caches = ['none', 'directsync', 'writeback', 'writethrough', 'unsafe']
/** Linux's native aio wants O_DIRECT. Source: qemu block/file-posix.c, raw_open_common. */
const modes = caches.flatMap(cache => [
  [cache, 'threads'] as const,
  [cache, 'io_uring'] as const,
  ...(['none', 'directsync'].includes(cache) ? [[cache, 'native'] as const] : []),
])

/** qemu-io over a file; its reads check patterns, and one that differs fails. */
async function qemuIo(file: string, format: string, commands: readonly string[], ...more: string[]): Promise<void> {
  const said = await run('qemu-io', ...more, '-f', format, ...commands.flatMap(command => ['-c', command]), file)
  if (/fail|error/i.test(said.toString())) throw new Error(`qemu-io ${more.join(' ')} ${file}: ${said}`)
}

const readAll = stretches.map(({ pattern, offset, length }) => `read -P ${pattern} ${offset} ${length}`)

/** a.raw and a.qcow2 of the same contents, made by qemu. */
async function placeWithImages(t: Test): Promise<Place> {
  const where = place(t)
  const raw = join(where.originDirectory, 'a.raw')
  await run('qemu-img', 'create', '-f', 'raw', raw, String(sizeBytes))
  const writes = stretches.map(({ pattern, offset, length }) => `write -P ${pattern} ${offset} ${length}`)
  await qemuIo(raw, 'raw', writes)
  await run('qemu-img', 'convert', '-O', 'qcow2', raw, join(where.originDirectory, 'a.qcow2'))
  return where
}

const images = [
  { name: 'a.raw', format: 'raw' },
  { name: 'a.qcow2', format: 'qcow2' },
]

t.test('qemu-img info, map, check, measure and compare say of both what they say at the origin', options, async t => {
  const where = await placeWithImages(t)
  await mountDaemon(t, where)
  for (const { name, format } of images) {
    const [source, target] = [join(where.originDirectory, name), join(where.mountpoint, name)]
    const json = async (file: string, verb: string, ...more: string[]) =>
      JSON.parse((await run('qemu-img', verb, '--output=json', ...more, file)).toString()) as Record<string, unknown>
    const [mine, theirs] = await Promise.all([json(target, 'info'), json(source, 'info')])
    t.match(mine, { format, 'virtual-size': theirs['virtual-size'] })
    const verbs: [string, ...string[]][] = [
      ['map', '-f', format],
      ['measure', '-O', 'qcow2'],
    ]
    for (const verb of verbs) {
      if (!capabilities.seek && format === 'raw') t.pass(`${verb[0]} of ${format}`, { skip: 'no holes without lseek' })
      else t.same(await json(target, ...verb), await json(source, ...verb), `${name}: holes and data`)
    }
    if (format === 'qcow2') t.match(await json(target, 'check'), { 'check-errors': 0 })
    for (const cache of ['none', 'writeback']) {
      await run('qemu-img', 'compare', '-T', cache, '-f', format, '-F', format, target, source)
    }
  }
  const [raw, qcow2] = images.map(({ name }) => join(where.mountpoint, name)) as [string, string]
  await run('qemu-img', 'compare', '-f', 'raw', '-F', 'qcow2', raw, qcow2)
})

t.test('qemu-img convert copies raw and qcow2 to raw and qcow2, by every cache mode', options, async t => {
  const where = await placeWithImages(t)
  const origin = await spawnHttpOrigin({ directory: where.originDirectory, delayMs: 1 })
  t.teardown(() => origin.close())
  // Once with an origin that knows its holes and once with one that does not.
  for (const url of [where.origin, origin.url]) {
    const mounted = { ...place(t), origin: url }
    await mountDaemon(t, mounted)
    for (const { name, format } of images) {
      const target = join(mounted.mountpoint, name)
      for (const [k, cache] of caches.entries()) {
        const copy = join(where.top, 'copy')
        const to = k % 2 === 0 ? 'raw' : 'qcow2'
        await run('qemu-img', 'convert', '-T', cache, '-f', format, '-O', to, target, copy)
        const source = join(where.originDirectory, name)
        const compared = await attempt('qemu-img', 'compare', '-f', format, '-F', to, source, copy)
        t.match(compared, { code: 0, stderr: '' }, `${format} to ${to}, ${cache}`)
      }
    }
  }
})

t.test('qemu-io reads patterns in every cache and aio mode, cold and warm', options, async t => {
  const where = await placeWithImages(t)
  const origin = await spawnHttpOrigin({ directory: where.originDirectory, delayMs: 1 })
  t.teardown(() => origin.close())
  await mountDaemon(t, { ...where, origin: origin.url })
  for (const { name, format } of images) {
    for (const [cache, aio] of modes) {
      const asynchronous = readAll.map(command => `aio_${command}`)
      const all = [...readAll, ...asynchronous, 'aio_flush', 'readv -P 0x11 512 512 4096 65536', 'map']
      await t.resolves(
        qemuIo(join(where.mountpoint, name), format, all, '-r', '-t', cache, '-i', aio),
        `${format}, ${cache}, ${aio}`,
      )
    }
  }
})

t.test('a clone over the mount keeps what is written to it, and shows its parent beneath', options, async t => {
  const where = await placeWithImages(t)
  await mountDaemon(t, where)
  for (const { name, format } of images) {
    const parent = join(where.mountpoint, name)
    const clone = join(where.top, `clone-of-${name}`)
    await run('qemu-img', 'create', '-f', 'qcow2', '-b', parent, '-F', format, clone)
    for (const [cache, aio] of modes) {
      const mode = ['-t', cache, '-i', aio]
      const writes = ['write -P 0xaa 512k 128k', 'write -P 0xbb 4194300 8', 'write -P 0xcc 20M 70k']
      await qemuIo(clone, 'qcow2', ['discard 512k 128k', ...writes], ...mode)
      const reads = [
        'read -P 0x11 0 512k',
        'read -P 0xaa 512k 128k',
        'read -P 0x11 640k 384k',
        'read -P 0xbb 4194300 8',
      ]
      await t.resolves(
        qemuIo(clone, 'qcow2', [...reads, 'read -P 0xcc 20M 70k', readAll[2]!, readAll[4]!], '-r', ...mode),
        `over ${format}, ${cache}, ${aio}`,
      )
    }
    await run('qemu-img', 'check', clone)
    t.match(await attempt('qemu-img', 'commit', clone), { code: 1, stderr: /Read-only file system|read-only/i })
  }
})

t.test(
  'qemu is told that nothing can be written, and what is no image fails as it does elsewhere',
  options,
  async t => {
    const where = await placeWithImages(t)
    writeFileSync(join(where.originDirectory, 'text.raw'), 'no disk at all')
    await mountDaemon(t, where)
    const refused = await attempt('qemu-io', '-f', 'raw', '-c', 'write 0 512', join(where.mountpoint, 'a.raw'))
    t.match(refused, { code: 1, stderr: /Read-only file system/ })
    t.match(await attempt('qemu-img', 'info', '-f', 'qcow2', join(where.mountpoint, 'text.raw')), { code: 1 })
    t.match(await attempt('qemu-img', 'info', join(where.mountpoint, 'none.raw')), { stderr: /No such file/ })
  },
)
