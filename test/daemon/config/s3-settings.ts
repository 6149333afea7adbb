/** Settings of an origin in S3. */
import t from 'tap'
import { silentLogger } from '../../../src/base/logger.ts'
import { configure } from '../../../src/daemon/config/configuration.ts'
import { originOptionsOf } from '../../../src/daemon/config/origin-settings.ts'

const of = (origin: object) =>
  configure(
    { document: { origin: { url: 's3://images/golden', ...origin } }, mountpoint: '/mnt' },
    { uid: 0, gid: 0, home: '/root' },
  ).places[0]!
const optionsOf = (origin: object) => originOptionsOf(of(origin).settings, silentLogger).s3
const secret = { file: '/etc/parentfs/s3-secret' }

t.test('the endpoint is a part of the URL', async t => {
  t.equal(of({}).settings.url, 's3://images/golden/')
  t.equal(
    of({ endpoint: 'https://S3.example.com/' }).settings.url,
    's3://images/golden/?endpoint=https://s3.example.com',
  )
})

t.test('keys, region and the rest come as the origin wants them', async t => {
  t.match(optionsOf({}), { region: null, addressing: 'auto', profile: null, keys: null, anonymous: false })
  const keys = { accessKeyId: 'id', secretAccessKey: secret, sessionToken: { env: 'TOKEN' } }
  t.match(optionsOf({ ...keys, region: 'eu-1', addressing: 'path', requesterPays: true }), {
    ...{ keys, region: 'eu-1', addressing: 'path', requesterPays: true },
  })
})

t.test('what does not go together is refused, and no secret is taken as it is', async t => {
  for (const [wrong, message] of [
    [{ accessKeyId: 'id' }, /go together/],
    [{ secretAccessKey: secret }, /go together/],
    [{ sessionToken: secret }, /sessionToken goes with accessKeyId/],
    [{ profile: 'p', anonymous: true }, /exclude each other/],
    [{ accessKeyId: 'id', secretAccessKey: secret, profile: 'p' }, /exclude each other/],
    [{ accessKeyId: 'id', secretAccessKey: 'hush' }, /a secret is not written here/],
    [{ region: 'a/b' }, /is not a region/],
    [{ addressing: 'host' }, /there is auto, path, virtual/],
    [{ endpoint: 'ftp://host' }, /not an endpoint/],
    [{ url: 's3://id:hush@images/' }, /has credentials in it/],
    [{ basic: { username: 'a', password: secret } }, /belongs to another kind of origin/],
  ] as const) {
    try {
      of(wrong)
      t.fail(JSON.stringify(wrong))
    } catch (error) {
      t.match(String(error), message)
      t.notMatch(String(error), /hush/)
    }
  }
})
