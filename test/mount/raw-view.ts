/** A raw view of a compressed qcow2 is a parent like any other: for clones, over restarts, at the cost of its packed bytes. */
import { statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import {
  cannotMount,
  command,
  type Daemon,
  makeComplete,
  patienceMs,
  place,
  startCommand,
  statusOf,
  stop,
} from '../fixtures/daemon.ts'
import { spawnHttpOrigin } from '../fixtures/http-origin.ts'
import { convert, noQemuImg } from '../fixtures/qemu-images.ts'
import { run } from '../fixtures/run.ts'
import { until } from '../fixtures/until.ts'

const MiB = 1024 * 1024
const sizeBytes = 24 * MiB + 512

/** Words that pack to a third, and a hole of 4 MiB. */
function diskBytes(): Buffer {
  const disk = Buffer.alloc(sizeBytes)
  for (let at = 0; at < sizeBytes; at += 16) {
    if (at < 8 * MiB || at >= 12 * MiB) disk.write(`${(at * 7919).toString(36).padStart(9)} words `, at, 'latin1')
  }
  return disk
}

t.test('a clone over a raw view, and a restart', { skip: cannotMount || noQemuImg }, async t => {
  const where = place(t)
  const source = join(where.top, 'source.raw')
  const packed = join(where.originDirectory, 'a.qcow2')
  writeFileSync(source, diskBytes())
  convert(source, packed, 'qcow2', '', true)
  const server = await spawnHttpOrigin({ directory: where.originDirectory })
  t.teardown(() => server.close())
  const file = join(where.top, 'p.yaml')
  const cache = `{ directory: ${where.cacheDirectory}, capacity: 200MiB }`
  writeFileSync(
    file,
    `mountpoint: ${where.mountpoint}\norigin: { url: "${server.url}", views: [raw] }\ncache: ${cache}\n`,
  )
  const mount = async (): Promise<Daemon> => {
    const daemon = startCommand(t, [...command, 'mount', '--config', file])
    const isReady = () => /"msg":"mounted"/.test(daemon.log()) || daemon.child.exitCode !== null
    await until(isReady, patienceMs, 'the mount')
    t.equal(daemon.child.exitCode, null, 'it is mounted')
    return daemon
  }

  const first = await mount()
  const view = join(where.mountpoint, 'a.raw')
  t.same((await run('ls', where.mountpoint)).toString(), 'a.qcow2\na.raw\n')
  t.equal(statSync(view).size, sizeBytes)
  const clone = join(where.top, 'clone.qcow2')
  await run('qemu-img', 'create', '-q', '-f', 'qcow2', '-b', view, '-F', 'raw', clone)
  await run('qemu-img', 'compare', '-f', 'qcow2', '-F', 'raw', clone, source)
  await run(
    'qemu-io',
    '-f',
    'qcow2',
    '-c',
    'write -P 0x5a 1M 64k',
    '-c',
    'read -P 0x5a 1M 64k',
    '-c',
    'read -P 0 9M 1M',
    clone,
  )
  await run('cmp', view, source)
  await makeComplete(where, 'a.raw')
  const { bytes } = (await statusOf(where)).origin
  const share = bytes / statSync(packed).size
  t.ok(share > 0.85 && share < 1.15, `${share} of the packed bytes were fetched`)
  await stop(first)

  const second = await mount()
  await run('cmp', view, source)
  const { origin, reads } = await statusOf(where)
  t.equal(origin.bytes, 0, 'unpacked bytes outlast a restart')
  t.equal(reads.misses, 0)
  t.match((await statusOf(where)).images, [{ name: 'a.raw', complete: true }])
  await stop(second)
})
