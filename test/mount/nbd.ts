/** The example of NBD in docs/ORIGINS.md, as it is written there but for its places: a clone runs on an export. */
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { cannotMount, isGone, parentfs, patienceMs, place, statusOf } from '../fixtures/daemon.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'
import { nbdAccepts, noNbdkit } from '../fixtures/nbd-server.ts'
import { originsExamples, runCommands } from '../fixtures/origins-page.ts'
import { run } from '../fixtures/run.ts'
import { until } from '../fixtures/until.ts'

const sample = { seed: 51, sizeBytes: 16 * 1024 * 1024, dataShare: 0.6 }

t.test('the example of NBD in docs/ORIGINS.md works', { skip: cannotMount || noNbdkit }, async t => {
  const where = place(t)
  const image = join(where.originDirectory, 'debian')
  writeSample(image, sample)
  const [configuration, overlay, pid] = ['nbd.yaml', 'one.qcow2', 'images.pid'].map(name => join(where.top, name)) as [
    string,
    string,
    string,
  ]
  const [script, yaml] = originsExamples('### From an image file to a booting clone', {
    '/run/images.sock': join(where.top, 'images.sock'),
    '/run/images.pid': pid,
    '/srv/images': where.originDirectory,
    '/etc/parentfs/nbd.yaml': configuration,
    '/mnt/parents': where.mountpoint,
    '/ssd/parents': where.cacheDirectory,
    '/var/lib/vms/one.qcow2': overlay,
    '200GiB': '200MiB',
    HEX: createHash('sha256').update(readFileSync(image)).digest('hex'),
  })
  writeFileSync(configuration, yaml!)
  let isServing = true
  const endNbdkit = async () => {
    if (!isServing || !existsSync(pid)) return
    isServing = false
    // SIGTERM would wait for the connections of its clients.
    process.kill(Number(readFileSync(pid, 'utf8')), 'SIGKILL')
    const path = join(where.top, 'images.sock')
    await until(async () => !(await nbdAccepts({ port: 0, path })), patienceMs, 'the end of nbdkit')
  }
  t.teardown(endNbdkit)
  t.match(await runCommands(script!), /debian/)
  const { pid: worker, supervisorPid } = await statusOf(where)

  const words = (...commands: string[]) => commands.flatMap(each => ['-c', each])
  await run('qemu-io', '-f', 'qcow2', ...words('write -P 0x55 64k 64k', 'read -P 0x55 64k 64k'), overlay)
  await run('cmp', image, join(where.mountpoint, 'debian'))
  const isVerified = async () => (await statusOf(where)).images[0]?.digest === 'verified'
  await until(isVerified, patienceMs, 'the comparison with the digest of the settings')

  const clone = join(where.top, 'clone.raw')
  await run('qemu-img', 'convert', '-f', 'qcow2', '-O', 'raw', overlay, clone)
  const expected = sampleBytes(sample, 0, sample.sizeBytes)
  expected.fill(0x55, 65_536, 131_072)
  t.ok(readFileSync(clone).equals(expected), 'the clone is whole')

  await endNbdkit()
  await run('cmp', image, join(where.mountpoint, 'debian'))
  await run('qemu-io', '-f', 'qcow2', ...words('read -P 0x55 64k 64k', 'read 1M 15M'), overlay)
  t.pass('it runs without the server')
  t.match(await parentfs('unmount', where.mountpoint), { code: 0 })
  t.ok(await isGone(where, worker, supervisorPid))
})
