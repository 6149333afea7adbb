/**
 * An image in a bucket as a file of a mount, by the example of docs/ORIGINS.md: qemu's overlays run on it, and the keys
 * are seen nowhere.
 */
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { cannotMount, command, logs, patienceMs, place, startCommand, statusOf, stop } from '../fixtures/daemon.ts'
import { run } from '../fixtures/run.ts'
import { type S3Account, S3Client } from '../fixtures/s3-client.ts'
import { until } from '../fixtures/until.ts'

const patterns = [
  { byte: '0x11', offset: '0', length: '1M' },
  { byte: '0x33', offset: '5M', length: '300k' },
]

export function s3Mounted(server: string, account: () => S3Account): void {
  t.test(`a mounted bucket of ${server}`, { skip: cannotMount }, async t => await mounted(t, account()))
}

async function mounted(t: Test, account: S3Account): Promise<void> {
  const where = place(t)
  const client = new S3Client(account, 'images')
  await client.create()
  const raw = join(where.top, 'golden.raw')
  await run('qemu-img', 'create', '-f', 'raw', raw, '16M')
  await qemuIo(raw, 'raw', ...patterns.map(({ byte, offset, length }) => `write -P ${byte} ${offset} ${length}`))
  await client.putFile('golden/debian-12.raw', raw)
  await client.put('golden/deep/er.raw', 'a file of a directory')
  const file = join(where.top, 'parents.yaml')
  const secret = join(where.top, 's3-secret')
  writeFileSync(secret, `${account.secretKey}\n`, { mode: 0o600 })
  const replacements = [
    ['https://s3.example.com', account.endpoint],
    ['us-east-1', account.region],
    ['accessKeyId: parents', `accessKeyId: ${account.accessKey}`],
    ['/etc/parentfs/s3-secret', secret],
    ['/ssd/parents', where.cacheDirectory],
    ['200GiB', '200MiB'],
  ] as const
  writeFileSync(
    file,
    replacements.reduce((text, [from, to]) => text.replace(from, to), exampleText()),
  )
  const daemon = startCommand(t, [...command, 'mount', '--config', file, where.mountpoint])
  await logs(daemon, /"msg":"mounted"/)
  const parent = join(where.mountpoint, 'debian-12.raw')
  const overlay = join(where.top, 'one.qcow2')
  await run('qemu-img', 'create', '-f', 'qcow2', '-b', parent, '-F', 'raw', overlay)
  const reads = patterns.map(({ byte, offset, length }) => `read -P ${byte} ${offset} ${length}`)
  await qemuIo(overlay, 'qcow2', ...reads, 'write -P 0x55 64k 64k', 'read -P 0x55 64k 64k', 'read -P 0x11 128k 896k')
  await run('cmp', parent, raw)
  t.equal((await run('cat', join(where.mountpoint, 'deep/er.raw'))).toString(), 'a file of a directory')
  await until(async () => (await statusOf(where)).promotion.queuedBytes === 0, patienceMs, 'promotion')
  const status = JSON.stringify(await statusOf(where))
  t.match(status, account.endpoint, 'the endpoint is a part of the URL')
  t.equal(await stop(daemon), 0)
  const seen = [status, daemon.log(), ...filesBelow(where.cacheDirectory).map(path => readFileSync(path, 'latin1'))]
  for (const text of seen) t.notOk(text.includes(account.secretKey) || text.includes('Signature='))
}

/** The configuration of the example. */
function exampleText(): string {
  const [, text] = /```yaml\n(# \/etc\/parentfs\/parents\.yaml\norigin:\n {2}url: s3:[\s\S]*?)```/.exec(
    readFileSync('docs/ORIGINS.md', 'utf8'),
  )!
  return text!
}

function filesBelow(directory: string): string[] {
  const names = readdirSync(directory, { recursive: true, encoding: 'utf8' })
  return names.map(name => join(directory, name)).filter(path => statSync(path).isFile())
}

async function qemuIo(file: string, format: string, ...commands: readonly string[]): Promise<void> {
  const said = await run('qemu-io', '-f', format, ...commands.flatMap(each => ['-c', each]), file)
  if (/fail|error/i.test(said.toString())) throw new Error(`qemu-io ${file}: ${said}`)
}
