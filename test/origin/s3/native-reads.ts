/** Ranges of objects that session threads ask for by themselves, with a head that was signed once. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { identify } from '../../../src/base/image.ts'
import { loadAddon } from '../../../src/native/addon.ts'
import { ReaderTable } from '../../../src/origin/contract/native-read-sources.ts'
import { S3Origin } from '../../../src/origin/s3/s3-origin.ts'
import { startNativeReads } from '../../fixtures/native-reads.ts'
import { pattern } from '../../fixtures/pattern.ts'
import { waysToReceive } from '../../fixtures/receiving.ts'
import { S3TestServer } from '../../fixtures/s3-server.ts'
import { until } from '../../fixtures/until.ts'

const { signal } = new AbortController()
const sizeBytes = 1_000_000
const image = Buffer.from(pattern(1, 0, sizeBytes))
const [plain] = waysToReceive(t)

t.test('after one range TypeScript is asked no more, until the keys have ended', async t => {
  const directory = mkdtempSync(join(tmpdir(), 'parentfs-s3-native-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  const server = await S3TestServer.start(t)
  server.put('a.img', image, 'v1')
  server.token = 'first'
  const environment: Record<string, string> = {
    AWS_ACCESS_KEY_ID: 'test-id',
    AWS_SECRET_ACCESS_KEY: 'test-secret',
    AWS_SESSION_TOKEN: 'first',
    HOME: '/nonexistent',
  }
  let nowMs = Date.now()
  const grant = loadAddon().createGrant(false, false)
  grant.limit(100)
  const readers = new ReaderTable(10, grant)
  const http = { inPlaceBytesMin: 1, receiver: plain!.receiver, readers }
  const origin = new S3Origin(`s3://images/?endpoint=${server.endpoint}`, { environment, now: () => nowMs }, http)
  t.teardown(() => origin.close())
  const native = await startNativeReads(t, directory, sizeBytes)
  const known = identify(await origin.lookup('a.img', { signal }))
  readers.onChange = imageId => imageId === known.id && native.use(readers.get(imageId))
  const read = async () => {
    const target = Buffer.alloc(4096)
    await origin.read(known, 0, target, { signal })
    return target.equals(image.subarray(0, 4096))
  }
  const readNatively = async (offset: number) => {
    const bytes = await native.read(offset, 4096)
    return bytes === null ? null : bytes.equals(image.subarray(offset, offset + 4096))
  }
  t.equal(await readNatively(0), null, 'nothing is known yet')
  await until(async () => (await read()) && (await readNatively(500_000)) === true, 30_000, 'a native read')
  for (let k = 0; k < 10; k++) t.equal(await readNatively(k * 65_536), true)
  const [first, last] = [server.seen.find(({ headers }) => headers.range === 'bytes=0-4095'), server.seen.at(-1)]
  t.equal(last?.path, '/images/a.img?versionId=v1')
  t.equal(last?.headers.authorization, first?.headers.authorization)
  t.equal(last?.headers['x-amz-security-token'], 'first')
  // The server wants other keys: a native read comes to TypeScript, which has them renewed.
  server.token = environment.AWS_SESSION_TOKEN = 'second'
  nowMs += 60_000
  t.equal(await readNatively(0), null)
  t.equal(await read(), true)
  t.equal(server.seen.at(-1)?.headers['x-amz-security-token'], 'second')
})
