/**
 * Targets of redirects.
 */
import t from 'tap'
import { isRedirect, nextPlace } from '../../../../src/origin/http/protocol/http-redirect.ts'

const from = new URL('https://me.example/images/a.img?x=1')

t.test('a redirect leads to another place, absolute or relative', async t => {
  const places: Record<string, string> = {
    'b.img': 'https://me.example/images/b.img',
    '/b.img?signed': 'https://me.example/b.img?signed',
    '//other.example/b': 'https://other.example/b',
    'https://other.example/b': 'https://other.example/b',
  }
  for (const [location, place] of Object.entries(places)) t.equal(nextPlace({ location }, from).href, place)
  t.equal(nextPlace({ location: 'https://me.example/' }, new URL('http://me.example/')).href, 'https://me.example/')
})

t.test('a redirect to nowhere, to no web server, or from https down to http is refused', async t => {
  const locations = ['http://', 'file:///etc/passwd', 'data:,x', 'http://me.example/images/a.img']
  for (const location of locations) t.throws(() => nextPlace({ location }, from), { code: 'origin-protocol' }, location)
  t.throws(() => nextPlace({}, from), { code: 'origin-protocol', message: /^[^?]*$/ })
  t.throws(() => nextPlace({ location: ['/a', '/b'] }, from), { code: 'origin-protocol' })
})

t.test('only answers that say so are redirects', async t => {
  for (const status of [301, 302, 303, 307, 308]) t.ok(isRedirect(status))
  for (const status of [200, 206, 300, 304, 305, 404]) t.notOk(isRedirect(status))
})
