/** XML as S3 servers write it, and everything that is none. */
import t from 'tap'
import { xmlLeavesOf } from '../../../src/origin/s3/xml.ts'

const leaves = (text: string) => [...xmlLeavesOf(text)].map(({ path, text }) => `${path}=${text}`)

t.test('the leaves of a document come in order, with their entities replaced', async t => {
  const text = `<?xml version='1.0'?>
<s:R xmlns:s="x" a='b'><A>1 &lt;2&gt; &amp;&quot;&apos; &#233;&#x2603;</A>
  <B><C/><D> x </D></B><E></E></s:R>`
  t.same(leaves(text), ['R/A=1 <2> &"\' é☃', 'R/B/C=', 'R/B/D= x ', 'R/E='])
})

t.test('anything else is refused', async t => {
  const wrong = [
    ...[
      '',
      'text',
      '<a>',
      '<a><b></a></b>',
      '<a></a',
      '<a>&nbsp;</a>',
      '<a>&#x110000;</a>',
      '<a>&</a>',
      '</a>',
      'x<a></a>',
    ],
    ...['<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', '<a><!-- b --></a>', '<a><![CDATA[b]]></a>', '<a <b></b></a>'],
  ]
  for (const text of wrong) t.throws(() => leaves(text), Error, text.slice(0, 50))
  t.throws(() => leaves('<a>'.repeat(1000)), /too deep/)
})

t.test('a long hostile document is judged in a moment', async t => {
  const startMs = performance.now()
  for (const part of ['<a ', '<', '&', '<a>', '<?', '<a b="', '&#']) {
    t.throws(() => leaves(`<r>${part.repeat(200_000)}`), Error, part)
  }
  t.ok(performance.now() - startMs < 60_000)
})
