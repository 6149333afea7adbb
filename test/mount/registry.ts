/**
 * The example of docs/ORIGINS.md: a disk in a registry with tokens and redirects is a parent for clones, over restarts;
 * every tag is a file; and no login or token is anywhere but where it was given.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { cannotMount, parentfs, place, statusOf } from '../fixtures/daemon.ts'
import { originsExamples, runCommands } from '../fixtures/origins-page.ts'
import { noQemuImg } from '../fixtures/qemu-images.ts'
import { noRegistry, RegistryServer, registryUser } from '../fixtures/registry-server.ts'
import { attempt, run } from '../fixtures/run.ts'
import { missingProgram } from '../fixtures/server-processes.ts'
import { tarOf } from '../fixtures/tar.ts'

const MiB = 1024 * 1024

function diskBytes(sizeBytes: number): Buffer {
  const disk = Buffer.alloc(sizeBytes)
  for (let at = 0; at < sizeBytes; at += 16) disk.write(`${(at * 7919).toString(36).padStart(9)} words `, at, 'latin1')
  return disk
}

const skip = cannotMount || noQemuImg || noRegistry
const noZstd = missingProgram(['zstd'], 'zstd')

t.test('a clone over a disk in a registry as documented, and a restart', { skip }, async t => {
  const where = place(t)
  const at = (name: string) => join(where.top, name)
  const [source, packed, clone, config, logins, log] = [
    at('debian-12.img'),
    at('debian-12.qcow2'),
    at('one.qcow2'),
    at('debian.yaml'),
    at('registry.json'),
    at('log'),
  ]
  writeFileSync(source, diskBytes(12 * MiB))
  await run('qemu-img', 'convert', '-O', 'qcow2', source, packed)
  const registry = await RegistryServer.start(t, { auth: 'token', redirectSeconds: 600 })
  await registry.push('images/debian', '12', [{ bytes: readFileSync(packed), title: 'debian-12.qcow2' }])
  const { username, password } = registryUser
  const auth = Buffer.from(`${username}:${password}`).toString('base64')
  writeFileSync(logins, JSON.stringify({ auths: { [`${registry.host}/images`]: { auth } } }), { mode: 0o600 })
  t.teardown(() => parentfs('unmount', where.mountpoint, '--force'))
  const [, commands] = originsExamples('## Registries', {
    '/etc/parentfs/debian.yaml': config,
    '/mnt/parents': where.mountpoint,
    'registry.example.com': registry.host,
    '/etc/parentfs/registry.json': logins,
    '/ssd/parents': where.cacheDirectory,
    '200GiB}': `200MiB}\nlog: {level: debug, file: ${log}}`,
    '/var/lib/vms/one.qcow2': clone,
  })
  t.match(await runCommands(commands!), 'debian-12.qcow2\n')
  await run('qemu-img', 'compare', '-f', 'qcow2', '-F', 'raw', clone, source)
  await run('qemu-io', '-f', 'qcow2', '-c', 'write -P 0x5a 1M 64k', '-c', 'read -P 0x5a 1M 64k', clone)
  await run('cmp', join(where.mountpoint, 'debian-12.qcow2'), packed)
  const led = registry.requests.filter(line => /^GET .*\/blobs\//.test(line)).length
  t.ok(led < 4, `the registry was asked ${led} times where the blob is`)
  const said = [JSON.stringify(await statusOf(where)), (await parentfs('metrics', where.mountpoint)).stdout.toString()]
  t.match(await parentfs('unmount', where.mountpoint), { code: 0 })

  t.match(await parentfs('mount', '--config', config, '--background'), { code: 0 })
  await run('cmp', join(where.mountpoint, 'debian-12.qcow2'), packed)
  const { origin } = await statusOf(where)
  t.equal(origin.bytes, 0, 'what is held outlasts a restart')
  t.match(await parentfs('unmount', where.mountpoint), { code: 0 })

  t.ok(registry.given.length > 0)
  const secrets = [password, auth, ...registry.given.map(token => token.slice(-40))]
  for (const secret of secrets) {
    // Binary files too; 1: it is in none of them.
    const { code, stdout } = await attempt('grep', '-rlaF', '-e', secret, log, where.cacheDirectory, config)
    t.same([code, stdout.toString()], [1, ''])
    t.notOk(said.some(text => text.includes(secret)))
  }
})

t.test('every tag of a repository is a file, or a directory of files', { skip: skip || noZstd }, async t => {
  const where = place(t)
  const [disk, expected] = [diskBytes(3 * MiB), join(where.top, 'disk')]
  writeFileSync(expected, disk)
  const registry = await RegistryServer.start(t, { auth: 'token' })
  const layer = 'application/vnd.oci.image.layer.v1.tar'
  await registry.push('public/vm', 'packed', [
    { bytes: gzipSync(tarOf({ 'disk/vm.raw': disk })), mediaType: `${layer}+gzip` },
  ])
  const inZstd = execFileSync('zstd', ['-c', '-q'], { input: tarOf({ 'disk/vm.raw': disk }), maxBuffer: 2 ** 24 })
  await registry.push('public/vm', 'zstd', [{ bytes: inZstd, mediaType: `${layer}+zstd` }])
  await registry.push('public/vm', 'plain', [{ bytes: tarOf({ 'disk/vm.raw': disk }), mediaType: layer }])
  await registry.push(
    'public/vm',
    'both',
    ['a.raw', 'sub/b.raw'].map(title => ({ bytes: disk, title })),
  )
  t.teardown(() => parentfs('unmount', where.mountpoint, '--force'))
  const url = `oci://${registry.host}/public/vm`
  const there = ['--cache-dir', where.cacheDirectory, '--capacity', '200MiB', '--background']
  t.match(await parentfs('mount', url, where.mountpoint, ...there), { code: 0 })
  const names = (await run('find', where.mountpoint, '-type', 'f', '-printf', '%P\\n')).toString().trim().split('\n')
  t.same(names.sort(), ['both/a.raw', 'both/sub/b.raw', 'packed', 'plain', 'zstd'])
  for (const name of names) await run('cmp', expected, join(where.mountpoint, name))
  t.match(await parentfs('unmount', where.mountpoint), { code: 0 })
})
