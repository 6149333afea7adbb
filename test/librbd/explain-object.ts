/** The explanation of an object: which parent it belongs to, and what is wrong with names that belong to none. */
import t from 'tap'
import { answerKinds } from '../../src/librbd/answer-kinds.ts'
import { type ExplainedParent, explainObject } from '../../src/librbd/explain-object.ts'
import { leftToClusterIn } from '../../src/librbd/left-to-cluster.ts'

const parent = (snapshotId: bigint, image: ExplainedParent['image']): ExplainedParent => ({
  name: { poolId: 1n, snapshotId, namespace: '', prefix: 'rbd_data.12' },
  image,
})
const image = { key: 'a@v1', part: 7, order: 22, sizeBytes: 2 ** 22 + 5 }
const explain = (name: string, parents: readonly ExplainedParent[], kind = 0) =>
  explainObject(name, { responder: { look: () => kind }, directory: '/view', parents })

t.test('an object has its place in the image and a path while it is answered by one', async t => {
  const object = 'rbd_data.12.0000000000000001'
  t.match(explain(object, [parent(4n, image)]), {
    ...{ object: 1, kind: 'resident', path: '/view/00000007a0000001' },
    place: { image: 'a@v1', offset: 2 ** 22, bytes: 5 },
  })
  t.match(explain(object, [parent(4n, image)], 4), { kind: 'cold', path: null })
  t.match(explain(object, [parent(4n, null)], answerKinds.indexOf('striped')), {
    kind: 'striped',
    path: null,
    place: null,
  })
})

t.test('one of several snapshots is told by its id', async t => {
  const parents = [parent(4n, image), parent(5n, { ...image, key: 'a@v2' })]
  const object = 'rbd_data.12.0000000000000000'
  t.throws(() => explain(object, parents), { code: 'invalid-argument', message: /one of 4, 5/ })
  t.match(explain(`${object}@5`, parents), { place: { image: 'a@v2' } })
  t.throws(() => explain(`${object}@6`, parents), { code: 'not-found' })
})

t.test('names of nothing are refused', async t => {
  t.throws(() => explain('a@v1', [parent(4n, image)]), { code: 'invalid-argument' })
  t.throws(() => explain('rbd_data.12.0000000000000002', [parent(4n, image)]), { code: 'invalid-argument' })
  t.throws(() => explain('rbd_data.13.0000000000000000', [parent(4n, image)]), { code: 'not-found' })
})

t.test('forward leaves misses to the cluster, none everything', async t => {
  t.same((['promote', 'proxy', 'forward', 'none'] as const).map(leftToClusterIn), [0, 0, 1, 2])
})
