/**
 * A container as the mount that docs/ORIGINS.md shows: qemu's overlays run on a plain object, a static and a dynamic
 * large one. Neither the secret nor a token is in the log, in status, or anywhere in the cache.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { cannotMount, command, logs, place, startCommand, statusOf, stop } from '../../fixtures/daemon.ts'
import type { KeystoneServer } from '../../fixtures/keystone-server.ts'
import { run } from '../../fixtures/run.ts'
import type { SwiftObjects } from '../../fixtures/swift-objects.ts'

const [imageBytes, segmentBytes] = [8 * 2 ** 20, 1_500_000]
/** Of the example in docs/ORIGINS.md. */
const container = 'images'

/** Bytes by offset, each with what is expected there. */
const patterns = ['-P 0x11 0 1M', '-P 0x00 1M 1M', '-P 0x33 4M 300k', '-P 0x44 8000k 100k']

export function swiftMounted(keystone: KeystoneServer, objects: SwiftObjects): void {
  t.test('a container with Keystone, mounted', { skip: cannotMount }, async t => {
    const where = place(t)
    const raw = join(where.top, 'golden.raw')
    await run('qemu-img', 'create', '-f', 'raw', raw, String(imageBytes))
    await qemuIo(raw, 'raw', ...patterns.map(pattern => `write ${pattern}`))
    await upload(objects, readFileSync(raw))
    const secret = join(where.top, 'secret')
    writeFileSync(secret, keystone.applicationCredential.secret, { mode: 0o600 })
    const file = join(where.top, 'mount.yaml')
    writeFileSync(file, configurationText(where, keystone, secret))
    const daemon = startCommand(t, [...command, 'mount', '--config', file])
    await logs(daemon, /"msg":"mounted"/)
    for (const name of ['plain.raw', 'large/static.raw', 'large/dynamic.raw']) {
      const parent = join(where.mountpoint, name)
      const overlay = join(where.top, `${name.replace('/', '-')}.qcow2`)
      await run('qemu-img', 'create', '-f', 'qcow2', '-b', parent, '-F', 'raw', overlay)
      await qemuIo(overlay, 'qcow2', 'write -P 0x55 64k 64k', 'read -P 0x55 64k 64k', 'read -P 0x11 128k 896k')
      await qemuIo(overlay, 'qcow2', ...patterns.slice(1).map(pattern => `read ${pattern}`))
      await run('cmp', parent, raw)
    }
    const status = JSON.stringify(await statusOf(where))
    t.equal(await stop(daemon), 0)
    leaksNothing(t, where.cacheDirectory, { log: daemon.log(), status }, keystone)
  })
}

/** The example of docs/ORIGINS.md, with the login of the test in it. */
function configurationText(
  where: { readonly mountpoint: string; readonly cacheDirectory: string },
  { authUrl, applicationCredential }: KeystoneServer,
  secret: string,
): string {
  const [, example = ''] =
    /```yaml\n(origin:\n {2}url: swift:[\s\S]*?)```/.exec(readFileSync('docs/ORIGINS.md', 'utf8')) ?? []
  const own = {
    authUrl,
    applicationCredentialId: applicationCredential.id,
    applicationCredentialSecret: `{file: ${secret}}`,
  }
  const origin = Object.entries(own).reduce(
    (text, [key, value]) => text.replace(new RegExp(`^  ${key}: .*$`, 'm'), `  ${key}: ${value}`),
    example,
  )
  return `${origin}
mountpoint: ${where.mountpoint}
cache: {directory: ${where.cacheDirectory}, capacity: 200MiB}
log: {level: trace}
`
}

async function upload(objects: SwiftObjects, bytes: Buffer): Promise<void> {
  const parts = `${container}-parts`
  for (const made of [container, parts]) await objects.create(made)
  await objects.put(container, 'golden/plain.raw', bytes)
  const entries: { path: string }[] = []
  for (let at = 0; at < bytes.length; at += segmentBytes) {
    const name = `big/${String(at).padStart(9, '0')}`
    await objects.put(parts, name, bytes.subarray(at, at + segmentBytes))
    entries.push({ path: `/${parts}/${name}` })
  }
  await objects.putStatic(container, 'golden/large/static.raw', entries)
  await objects.putDynamic(container, 'golden/large/dynamic.raw', `${parts}/big/`)
}

/** Tokens of Keystone begin with the version byte of Fernet and a time. Source: fernet, Spec.md. */
const fernetToken = /gAAAAA[\w-]{80}/

function leaksNothing(
  t: Test,
  directory: string,
  texts: Record<string, string>,
  { applicationCredential }: KeystoneServer,
): void {
  const files = readdirSync(directory, { recursive: true, withFileTypes: true, encoding: 'utf8' })
  const places = files
    .filter(entry => entry.isFile() && !/^\d+\.data$/.test(entry.name))
    .map(entry => join(entry.parentPath, entry.name))
  t.ok(places.length > 1, `${places.length} files`)
  for (const path of places) texts[path] = readFileSync(path, 'latin1')
  t.ok(texts.log!.length > 1000, 'there is a log to look at')
  for (const [name, text] of Object.entries(texts)) {
    t.notOk(text.includes(applicationCredential.secret) || fernetToken.test(text), name)
  }
}

async function qemuIo(file: string, format: string, ...commands: readonly string[]): Promise<void> {
  const said = await run('qemu-io', '-f', format, ...commands.flatMap(command => ['-c', command]), file)
  if (/fail|error/i.test(said.toString())) throw new Error(`qemu-io ${file}: ${said}`)
}
