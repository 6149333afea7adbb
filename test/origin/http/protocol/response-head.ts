/** Heads of answers, byte by byte. */
import t from 'tap'
import { headBytesMax, parseHead } from '../../../../src/origin/http/protocol/response-head.ts'

const parse = (text: string) => parseHead(Buffer.from(text, 'latin1'))
const good = 'HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\nETag:  "a b" \r\nX: 1\r\nx: 2\r\n\r\n'

t.test('a head says its status, its headers and how long its body is', async t => {
  const parsed = parse(`${good}body`)
  t.equal(parsed?.bytes, good.length)
  t.match(parsed?.head, { status: 206, bodyBytes: 5, keepsAlive: true })
  t.same({ ...parsed?.head.headers }, { 'content-length': '5', etag: '"a b"', x: ['1', '2'] })
  for (let k = 0; k < good.length; k++) t.equal(parse(good.slice(0, k)), null, `${k} bytes of it`)
})

t.test('connections end where the head says so', async t => {
  const keeps = (version: string, connection: string) =>
    parse(`HTTP/1.${version} 200 OK\r\n${connection}\r\n\r\n`)?.head.keepsAlive
  t.same(
    [keeps('1', 'Connection: Close'), keeps('0', 'a: b'), keeps('0', 'Connection: Keep-Alive')],
    [false, false, true],
  )
  t.match(parse('HTTP/1.1 206 \r\nTransfer-Encoding: chunked\r\n\r\n')?.head, { bodyBytes: null })
})

t.test('what two readers could understand differently is refused', async t => {
  const heads = [
    'HTTP/2 206 x\r\n\r\n',
    'HTTP/1.1 99 x\r\n\r\n',
    'HTTP/1.1 206x\r\n\r\n',
    'HTTP/1.1 206 x\r\na : b\r\n\r\n',
    'HTTP/1.1 206 x\r\na: b\r\n c\r\n\r\n',
    'HTTP/1.1 206 x\r\na: b\nc: d\r\n\r\n',
    'HTTP/1.1 206 x\r\na: \0\r\n\r\n',
    'HTTP/1.1 206 x\r\nno colon\r\n\r\n',
    'HTTP/1.1 206 x\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n',
    'HTTP/1.1 206 x\r\nContent-Length: +5\r\n\r\n',
    'HTTP/1.1 206 x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n',
    `HTTP/1.1 206 x\r\na: ${'b'.repeat(headBytesMax)}`,
  ]
  for (const head of heads) t.throws(() => parse(head), { code: 'origin-protocol' }, JSON.stringify(head.slice(0, 60)))
})
