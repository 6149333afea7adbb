/**
 * URLs of places in a Ceph cluster: what they say, the one way to write each, and what may be said beside them.
 */
import t from 'tap'
import { type CephPlace, cephPlaceOf, cephUrlOf, cephUrlWith } from '../../../src/origin/ceph/ceph-url.ts'

const rbd: CephPlace = { scheme: 'rbd', cluster: 'ceph', pool: 'p', namespace: '', prefix: '' }
const rados: CephPlace = { ...rbd, scheme: 'rados' }

t.test('every form is understood, and written in one way', async t => {
  const cases: [string, CephPlace, string][] = [
    ['rbd://p', rbd, 'rbd://p/'],
    ['RBD://p/', rbd, 'rbd://p/'],
    ['rbd://p/n', { ...rbd, namespace: 'n' }, 'rbd://p/n/'],
    ['rbd://c/p/n/', { ...rbd, cluster: 'c', namespace: 'n' }, 'rbd://c/p/n/'],
    ['rbd://c/p//', { ...rbd, cluster: 'c' }, 'rbd://c/p//'],
    ['rbd://ceph/p//', rbd, 'rbd://p/'],
    ['rbd://with%20space/', { ...rbd, pool: 'with space' }, 'rbd://with%20space/'],
    ['rados://p', rados, 'rados://p/'],
    ['rados://p/x', { ...rados, prefix: 'x' }, 'rados://p/x'],
    ['rados://p/n/x', { ...rados, namespace: 'n', prefix: 'x' }, 'rados://p/n/x'],
    ['rados://p/n/', { ...rados, namespace: 'n' }, 'rados://p/n/'],
    ['rados://p//a/b/', { ...rados, prefix: 'a/b/' }, 'rados://p//a/b/'],
    ['rados://p/x?cluster=c', { ...rados, cluster: 'c', prefix: 'x' }, 'rados://p/x?cluster=c'],
  ]
  for (const [url, place, written] of cases) {
    t.same(cephPlaceOf(url), place, url)
    t.equal(cephUrlOf(place), written, url)
    t.same(cephPlaceOf(written), place, written)
  }
})

t.test('what is none is refused, and nothing secret is repeated', async t => {
  const wrong = [
    'rbd://',
    'rbd:///n/',
    'rbd://a/b/c/d',
    'rbd://p?x=secret',
    'rados://p/x#secret',
    'rbd://%/',
    'rbd://a:secret@p/',
  ]
  for (const url of [...wrong, 'rados://p/x?cluster=a/b', 'rbd://%00/', 'http://p/']) {
    t.throws(() => cephPlaceOf(url), { code: 'invalid-argument' }, url)
    t.throws(() => cephPlaceOf(url), { message: /^(?!.*secret)/ }, url)
  }
})

t.test('cluster and namespace beside a URL are a part of it, and must not say something else', async t => {
  t.equal(cephUrlWith('rbd://p/', { cluster: 'c', namespace: 'n' }), 'rbd://c/p/n/')
  t.equal(cephUrlWith('rbd://c/p/n/', { cluster: 'c', namespace: 'n' }), 'rbd://c/p/n/')
  t.equal(cephUrlWith('rados://p/x', { namespace: 'n' }), 'rados://p/n/x')
  t.equal(cephUrlWith('rbd://p/', {}), 'rbd://p/')
  t.throws(() => cephUrlWith('rbd://p/m/', { namespace: 'n' }), { code: 'invalid-argument' })
  t.throws(() => cephUrlWith('rbd://b/p/m/', { cluster: 'c' }), { code: 'invalid-argument' })
})
