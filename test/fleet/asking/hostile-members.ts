/** Fuzzed answers of hostile members: no wrong byte is taken for right, and memory stays bounded. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import t from 'tap'
import { LightAbortSignal } from '../../../src/async/light-abort-signal.ts'
import { OwnTime } from '../../../src/async/own-time.ts'
import { identify } from '../../../src/base/image.ts'
import { MemberClient } from '../../../src/fleet/asking/member-client.ts'
import { entityTag, formatSums, sumsHeader } from '../../../src/fleet/wire/wire.ts'
import { loadAddon } from '../../../src/native/addon.ts'
import { between, seed, seeded } from '../../fixtures/seeded.ts'

const addon = loadAddon()
/** Answers in make test's time; more by `OPERATIONS=n`. */
const answers = Number(process.env.OPERATIONS ?? 10_000)
const [blockBytes, blocks] = [4_096, 64]
const bytes = Buffer.alloc(blockBytes * blocks)
for (let k = 0; k < bytes.length; k += 32) createHash('sha256').update(`${k}`).digest().copy(bytes, k)
const image = identify({ origin: 'https://o/', key: 'a', sizeBytes: bytes.length, validator: '"1"', modifiedMs: 0 })
const random = seeded(seed)
const pick = <T>(from: readonly T[]): T => from[between(random, 0, from.length)]!

interface Answer {
  readonly head: string
  readonly body: Buffer
}

/** The answer to a request, as an honest member gives it. */
function honest(request: string): Answer {
  const [, first, last] = (/range: bytes=(\d+)-(\d+)/i.exec(request) ?? []).map(Number) as [number, number, number]
  const body = bytes.subarray(first, last + 1)
  const sums = Array.from({ length: body.length / blockBytes }, (_, k) =>
    addon.crc32c(body.subarray(k * blockBytes, (k + 1) * blockBytes)),
  )
  const lines = [
    'HTTP/1.1 206 Partial Content',
    `etag: ${entityTag(image.id)}`,
    `content-range: bytes ${first}-${last}/${bytes.length}`,
    `content-length: ${body.length}`,
    `${sumsHeader}: ${formatSums(sums)}`,
  ]
  return { head: `${lines.join('\r\n')}\r\n\r\n`, body }
}

const whole = ({ head, body }: Answer) => Buffer.concat([Buffer.from(head, 'latin1'), body])

function flipped(buffer: Buffer): Buffer {
  const copy = Buffer.from(buffer)
  for (let k = between(random, 1, 4); k > 0 && copy.length > 0; k--)
    copy[between(random, 0, copy.length)]! ^= 1 << between(random, 0, 8)
  return copy
}

const noise = (most: number) =>
  Buffer.from(Array.from({ length: between(random, 0, most) }, () => between(random, 0, 256)))

const header = (line: string) => (answer: Answer) =>
  whole({ ...answer, head: answer.head.replace('\r\n', `\r\n${line}\r\n`) })
const instead = (name: string, value: () => string) => (answer: Answer) =>
  whole({ ...answer, head: answer.head.replace(new RegExp(`${name}: .*`), () => `${name}: ${value()}`) })
const numbers = ['0', '-1', '1', '99999999999999999999', '4096, 4096', '0x10', '1e3', ' ', '9007199254740993']

/** Ways to answer, each drawn as often as the others. */
const ways: readonly ((answer: Answer) => Buffer)[] = [
  whole,
  ({ head, body }) => Buffer.concat([flipped(Buffer.from(head)), body]),
  ({ head, body }) => Buffer.concat([Buffer.from(head), flipped(body)]),
  answer => whole(answer).subarray(0, between(random, 0, whole(answer).length)),
  answer => Buffer.concat([whole(answer), noise(20_000)]),
  instead('content-length', () => pick(numbers)),
  instead('content-range', () => `bytes ${pick(numbers)}-${pick(numbers)}/${pick(numbers)}`),
  instead(sumsHeader, () => noise(200).toString('hex')),
  instead('etag', () => pick(['"x"', '*', 'W/"x"', ''])),
  header('transfer-encoding: chunked'),
  header('content-encoding: gzip'),
  header('connection: upgrade\r\nupgrade: x'),
  header('content-length: 7'),
  answer => header(`x: ${'y'.repeat(between(random, 0, 30_000))}`)(answer),
  answer => header('a: b\r\n'.repeat(between(random, 1, 3_000)).trimEnd())(answer),
  answer =>
    Buffer.from(
      whole(answer)
        .toString('latin1')
        .replace('206', pick(['200', '101', '100', '304', '503', '204', '999', '2'])),
      'latin1',
    ),
  answer =>
    Buffer.concat([Buffer.from('HTTP/1.1 102 Processing\r\n\r\n'.repeat(between(random, 1, 40))), whole(answer)]),
  () => noise(2_000),
  () => Buffer.alloc(0),
  ({ head }) => Buffer.concat([Buffer.from(head), Buffer.alloc(between(random, 0, 2 ** 18), 7)]),
]

let answered = 0

function serve(socket: Socket): void {
  let text = ''
  socket.on('error', () => {})
  socket.on('data', chunk => {
    text += chunk.toString('latin1')
    for (let end = text.indexOf('\r\n\r\n'); end >= 0; end = text.indexOf('\r\n\r\n')) {
      const answer = honest(text.slice(0, end))
      text = text.slice(end + 4)
      answered++
      const way = pick(ways)
      socket.write(way(answer))
      // Some are left open: only the asker's own time ends them.
      if (way !== whole && random() < 0.99) random() < 0.5 ? socket.end() : socket.destroySoon()
    }
  })
}

t.test(
  'fuzzed answers of members give no wrong byte, and memory stays bounded',
  { timeout: 280_000 + 20 * answers },
  async t => {
    const server = createServer(serve).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const trust = { ca: null, certificate: null, key: null, token: null }
    const sumOf = (block: Uint8Array) => addon.crc32c(block)
    const client = new MemberClient({ url, ownId: null, trust, blockBytes, time: new OwnTime(), sumOf })
    t.teardown(async () => {
      await client.close()
      server.close()
    })
    const before = process.memoryUsage().rss
    const kinds: Record<string, number> = {}
    let [wrong, asked] = [0, 0]
    const never = new LightAbortSignal()
    const worker = async () => {
      while (asked++ < answers) {
        const first = between(random, 0, blocks - 4)
        const offset = first * blockBytes
        const target = Buffer.alloc(between(random, 1, 5) * blockBytes)
        const range = { image, offset, target, rank: 0, hop: 1, fill: true }
        const outcome = await client.ask(range, { signal: never, headMsMax: 2_000 })
        kinds[outcome.kind] = (kinds[outcome.kind] ?? 0) + 1
        const good = outcome.kind === 'bytes' ? target.length : outcome.kind === 'lost' ? outcome.goodBytes : 0
        if (!target.subarray(0, good).equals(bytes.subarray(offset, offset + good))) wrong++
      }
    }
    await Promise.all(Array.from({ length: 16 }, worker))
    const grown = process.memoryUsage().rss - before
    t.comment(`SEED=${seed}: ${answered} answers, ${JSON.stringify(kinds)}, ${Math.round(grown / 2 ** 20)} MiB more`)
    t.equal(wrong, 0, 'no wrong byte')
    t.ok(kinds.bytes! > 0 && kinds.wrong! > 0 && kinds.lost! > 0)
    t.ok(grown < 400 * 2 ** 20, `${grown} bytes more`)
  },
)
