/** Sessions and links of pages. */
import t from 'tap'
import { webLinkMs, webLinksMax, webSessionMs } from '../../src/web/limits.ts'
import { isSameText, OneTimeLinks, Sessions } from '../../src/web/sessions.ts'

t.test('a session is good until its end, for every worker with the same secret, and for no other', async t => {
  let nowMs = 1_700_000_000_000
  const sessions = new Sessions('secret', () => nowMs)
  const { token, endMs } = sessions.issue()
  t.equal(endMs, nowMs + webSessionMs)
  t.ok(new Sessions('secret', () => nowMs).accepts(token))
  t.notOk(new Sessions('Secret', () => nowMs).accepts(token))
  nowMs = endMs - 1
  t.ok(sessions.accepts(token))
  nowMs = endMs
  t.notOk(sessions.accepts(token))
})

t.test('a session that was changed anywhere is none', async t => {
  const sessions = new Sessions('secret')
  const { token } = sessions.issue()
  for (let k = 0; k < token.length - 1; k++) {
    const changed = `${token.slice(0, k)}${token[k] === 'a' ? 'b' : 'a'}${token.slice(k + 1)}`
    t.notOk(sessions.accepts(changed), `character ${k}`)
  }
  for (const text of ['', '.', '..', token.slice(1), `${token}a`, 'zzzzzzzz.aaaaaaaaaaaa.', 'x'.repeat(10_000)]) {
    t.notOk(sessions.accepts(text), text.slice(0, 20))
  }
})

t.test('a link is good once, for a while, and the oldest goes when there is one too many', async t => {
  let nowMs = 0
  const links = new OneTimeLinks(() => nowMs)
  const first = links.create()
  t.ok(links.redeem(first))
  t.notOk(links.redeem(first))
  const late = links.create()
  nowMs = webLinkMs
  t.notOk(links.redeem(late))
  const many = Array.from({ length: webLinksMax + 1 }, () => links.create())
  t.notOk(links.redeem(many[0]!))
  t.ok(many.slice(1).every(link => links.redeem(link)))
})

t.test('texts are the same, or not', async t => {
  t.ok(isSameText('abc', 'abc'))
  t.notOk(isSameText('abc', 'abcd'))
  t.notOk(isSameText('', 'a'))
})
