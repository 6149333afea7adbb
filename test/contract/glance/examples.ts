/**
 * The examples of docs/ORIGINS.md for an image service: a login from OpenStack's own file of clouds, and images that are
 * read from a store in Swift.
 */
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import type { Test } from 'tap'
import { cannotMount, parentfs, place, statusOf } from '../../fixtures/daemon.ts'
import type { GlanceServer } from '../../fixtures/glance-server.ts'
import type { KeystoneServer } from '../../fixtures/keystone-server.ts'
import { originsExamples, runCommands } from '../../fixtures/origins-page.ts'
import { run } from '../../fixtures/run.ts'
import { filesWith, formsOf } from '../../fixtures/secret-search.ts'
import type { SwiftServer } from '../../fixtures/swift-server.ts'

const bytes = Buffer.alloc(12_000_000, createHash('sha512').update('of the examples').digest())

export interface GlanceExampleServers {
  readonly keystone: KeystoneServer
  readonly swift: SwiftServer
  readonly glance: GlanceServer
}

export async function glanceExamples(t: Test, servers: GlanceExampleServers): Promise<void> {
  await t.test('a clone by a file of clouds, as documented', { skip: cannotMount }, t => byCloud(t, servers))
  await t.test('an image read from its store, as documented', { skip: cannotMount }, t => fromStore(t, servers))
}

async function byCloud(t: Test, { keystone }: GlanceExampleServers): Promise<void> {
  const where = place(t)
  const at = (name: string) => join(where.top, name)
  writeFileSync(at('debian-12.raw'), bytes)
  const { username, password, project } = keystone.user
  const [clouds, commands] = originsExamples('### From a file of clouds to a booting clone', {
    'https://keystone.example:5000/v3': keystone.authUrl,
    vmhost: username,
    'a-long-secret': password,
    'project_name: images': `project_name: ${project}`,
    RegionOne: keystone.region,
    'debian-12.raw': at('debian-12.raw'),
    '/mnt/parents': where.mountpoint,
    '/ssd/parents': where.cacheDirectory,
    '200GiB': '200MiB',
    '/var/lib/vms/one.qcow2': at('one.qcow2'),
  })
  writeFileSync(at('clouds.yaml'), clouds!, { mode: 0o600 })
  // The tool of OpenStack says what it has made.
  const said = await runCommands(`export OS_CLIENT_CONFIG_FILE='${at('clouds.yaml')}'\n${commands}`)
  t.match(said, /\ndebian-12\n/)
  await run('qemu-img', 'compare', '-f', 'qcow2', '-F', 'raw', at('one.qcow2'), at('debian-12.raw'))
  t.notMatch(JSON.stringify(await statusOf(where)), password)
  t.match(await parentfs('unmount', where.mountpoint), { code: 0 })
  t.same(await filesWith(formsOf(password), [where.cacheDirectory]), [])
}

async function fromStore(t: Test, { keystone, swift, glance }: GlanceExampleServers): Promise<void> {
  const where = place(t)
  const at = (name: string) => join(where.top, name)
  const { username, password, project } = keystone.user
  await glance.put({ name: 'debian-13', bytes, store: 'swift', token: await keystone.token() })
  await glance.put({ name: 'hidden', bytes: bytes.subarray(0, 10), token: await keystone.token() })
  const secrets = { 'glance-password': password, 'swift-password': swift.key }
  for (const [name, secret] of Object.entries(secrets)) writeFileSync(at(name), secret, { mode: 0o600 })
  // The store's login is another one here, by its first authentication.
  const [example] = originsExamples("## OpenStack's image service", {
    'glance://images.example:9292/': glance.url,
    'https://keystone.example:5000/v3\n  username: vmhost': `${keystone.authUrl}\n  username: ${username}`,
    'https://keystone.example:5000/v3\n        username: vmhost': `${swift.authUrl}\n        username: "${swift.user}"`,
    'project: images': `project: ${project}`,
    '/etc/parentfs/glance-password': at('glance-password'),
    '/etc/parentfs/swift-password': at('swift-password'),
  })
  const cache = `cache: {directory: ${where.cacheDirectory}, capacity: 200MiB, readAhead: 0}`
  writeFileSync(at('parentfs.yaml'), `mountpoint: ${where.mountpoint}\n${example}${cache}\n`)
  t.match(await parentfs('mount', '--config', at('parentfs.yaml'), '--background'), { code: 0 })
  const names = (await run('ls', where.mountpoint)).toString()
  t.match(names, /^debian-13$/m)
  t.notMatch(names, /hidden/)
  const file = await open(join(where.mountpoint, 'debian-13'))
  const { buffer } = await file.read(Buffer.alloc(4096), 0, 4096, 10_000_000 - (10_000_000 % 4096))
  await file.close()
  t.ok(buffer.equals(bytes.subarray(10_000_000 - (10_000_000 % 4096)).subarray(0, 4096)))
  const { origin } = await statusOf(where)
  t.ok(origin.bytes < 1_000_000, `${origin.bytes} bytes: a range of the store, which the service has none of`)
  t.match(await parentfs('unmount', where.mountpoint), { code: 0 })
}
