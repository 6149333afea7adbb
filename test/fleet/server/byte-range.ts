/** Ranges and conditions of requests for an image. Source: RFC 9110, sections 13 and 14. */
import t from 'tap'
import { judgeRange } from '../../../src/fleet/server/byte-range.ts'

const image = { id: '00112233445566778899aabbccddeeff', sizeBytes: 1_000 }
const tag = `"${image.id}"`
const whole = { status: 200, offset: 0, length: 1_000 }
const part = { status: 206, offset: 10, length: 10 }

t.test('a range is that of the image, and what is none is left out', t => {
  const of = (range: string) => judgeRange({ range }, image)
  t.same(of('bytes=10-19'), part)
  t.same(of('BYTES=10-19'), part)
  t.same(of('bytes=990-'), { status: 206, offset: 990, length: 10 })
  t.same(of('bytes=-10'), { status: 206, offset: 990, length: 10 })
  t.same(of('bytes=-2000'), { status: 206, offset: 0, length: 1_000 })
  t.same(of('bytes=990-9999999999999999'), { status: 206, offset: 990, length: 10 })
  for (const none of ['bytes=1000-', 'bytes=1000-1001', 'bytes=-0', 'bytes=0-0,5-6', 'bytes=0-0, -1'])
    t.same(of(none), { status: 416 }, none)
  for (const other of ['lines=1-2', 'bytes=', 'bytes=-', 'bytes=5-4', 'bytes=1-2x', 'bytes=99999999999999999-'])
    t.same(of(other), whole, other)
  t.same(judgeRange({ range: 'bytes=10-19' }, image, true), whole, 'HEAD')
  t.end()
})

t.test('conditions compare strong tags, and If-None-Match weak ones, too', t => {
  const of = (headers: Record<string, string>) => judgeRange({ range: 'bytes=10-19', ...headers }, image)
  t.same(of({ 'if-range': tag }), part)
  for (const other of [`W/${tag}`, '"x"', 'Tue, 24 Nov 2026 00:00:00 GMT']) t.same(of({ 'if-range': other }), whole)
  for (const good of [tag, '*', `"x", ${tag}`]) t.same(of({ 'if-match': good }), part)
  for (const other of ['"x"', `W/${tag}`, '']) t.same(of({ 'if-match': other }), { status: 412 })
  for (const same of [tag, `W/${tag}`, '*']) t.same(of({ 'if-none-match': same }), { status: 304 })
  t.same(of({ 'if-none-match': '"x"' }), part)
  t.same(of({ 'if-match': '"x"', 'if-none-match': tag }), { status: 412 })
  t.end()
})
