/** Logins and endpoints, from settings and from the variables of OpenStack's own tools. */
import t from 'tap'
import {
  accountLoginOf,
  endpointChoiceOf,
  type OpenStackSettings,
  openStackSettingsDefault,
} from '../../../src/origin/openstack/openstack-options.ts'
import { catalogOf, endpointIn } from '../../../src/origin/openstack/service-catalog.ts'

const said = (settings: Partial<OpenStackSettings>) => ({ ...openStackSettingsDefault, ...settings })
const file = { file: '/secret' }
const byDefault = { id: 'default' }

t.test('settings alone', async t => {
  const password = { authUrl: 'https://k:5000', username: 'me', password: file, project: 'mine' }
  t.same(accountLoginOf(said(password), {}), {
    kind: 'password',
    authUrl: 'https://k:5000/v3',
    user: { name: 'me' },
    userDomain: byDefault,
    password: file,
    project: { name: 'mine' },
    projectDomain: byDefault,
  })
  t.match(accountLoginOf(said({ ...password, userDomain: 'Users', projectDomain: 'Projects' }), {}), {
    userDomain: { name: 'Users' },
    projectDomain: { name: 'Projects' },
  })
  const credential = { applicationCredentialId: 'an-id', applicationCredentialSecret: file }
  t.match(accountLoginOf(said({ ...credential, authUrl: 'https://k/identity/v3/' }), {}), {
    kind: 'application credential',
    authUrl: 'https://k/identity/v3/',
    id: 'an-id',
    secret: file,
  })
  for (const authUrl of ['http://s/auth/v1.0', 'http://s/auth/v1', 'http://s/auth/v1.0/']) {
    t.match(accountLoginOf(said({ authUrl, username: 'a:b', password: file }), {}), { kind: 'v1', authUrl })
  }
  t.match(accountLoginOf(said({ auth: 'v1', authUrl: 'http://s/x', username: 'a', password: file }), {}), {
    kind: 'v1',
  })
  t.same(accountLoginOf(said({ token: file }), { OS_AUTH_URL: 'http://k' }), { kind: 'token', token: file })
  t.same(accountLoginOf(said({}), {}), { kind: 'none' })
})

t.test('the environment, and settings above it', async t => {
  const environment = {
    OS_AUTH_URL: 'http://k/v3',
    OS_USERNAME: 'env',
    OS_PASSWORD: 'secret',
    OS_PROJECT_ID: 'p1',
    OS_USER_DOMAIN_NAME: 'Default',
    OS_PROJECT_DOMAIN_ID: 'd2',
  }
  const login = accountLoginOf(said({}), environment)
  t.match(login, {
    user: { name: 'env' },
    userDomain: { name: 'Default' },
    password: { env: 'OS_PASSWORD' },
    project: { id: 'p1' },
    projectDomain: { id: 'd2' },
  })
  t.notMatch(JSON.stringify(login), /"secret"/, 'the name of the variable, not its value')
  t.match(accountLoginOf(said({ username: 'me', project: 'mine' }), environment), {
    user: { name: 'me' },
    project: { name: 'mine' },
  })
  const credential = { OS_APPLICATION_CREDENTIAL_ID: 'an-id', OS_APPLICATION_CREDENTIAL_SECRET: 'secret' }
  t.match(accountLoginOf(said({}), { ...environment, ...credential }), { kind: 'application credential', id: 'an-id' })
  t.match(accountLoginOf(said({ username: 'me' }), { ...environment, ...credential }), { kind: 'password' })
  t.match(accountLoginOf(said({}), { ST_AUTH: 'http://s/auth/v1.0', ST_USER: 'a:b', ST_KEY: 'secret' }), {
    kind: 'v1',
    username: 'a:b',
    password: { env: 'ST_KEY' },
  })
  t.same(endpointChoiceOf(said({}), { OS_INTERFACE: 'internalURL', OS_REGION_NAME: 'R' }), {
    interface: 'internal',
    region: 'R',
  })
  t.same(endpointChoiceOf(said({ interface: 'admin' }), {}), { interface: 'admin', region: null })
})

t.test('what is missing is named', async t => {
  const missing: [Partial<OpenStackSettings>, RegExp][] = [
    [{}, /username/],
    [{ username: 'me' }, /password/],
    [{ username: 'me', password: file }, /project/],
    [{ applicationCredentialId: 'an-id' }, /applicationCredentialSecret/],
    [{ auth: 'v1', username: 'me' }, /password/],
  ]
  for (const [settings, message] of missing) {
    t.throws(() => accountLoginOf(said({ authUrl: 'http://k', ...settings }), {}), {
      code: 'invalid-argument',
      message,
    })
  }
})

t.test('the catalog gives the endpoint of a type, an interface and a region', async t => {
  const endpoint = (name: string, region: string) => ({
    interface: name,
    region_id: region,
    url: `http://${name}.${region}`,
  })
  const catalog = catalogOf({
    catalog: [
      { type: 'image', endpoints: [endpoint('public', 'A')] },
      {
        type: 'object-store',
        endpoints: [endpoint('internal', 'A'), endpoint('public', 'A'), endpoint('public', 'B')],
      },
      { type: 'object-store', endpoints: [{ interface: 'public' }, null, 'x'] },
      { endpoints: [endpoint('public', 'A')] },
      null,
    ],
  })
  t.equal(catalog.length, 4)
  const urlOf = (name: string, region: string | null) =>
    endpointIn(catalog, 'object-store', { interface: name, region })
  t.equal(urlOf('public', null), 'http://public.A')
  t.equal(urlOf('public', 'B'), 'http://public.B')
  t.equal(urlOf('internal', null), 'http://internal.A')
  t.throws(() => urlOf('internal', 'B'), { code: 'access-denied', message: /internal in A, public in A, public in B/ })
  t.throws(() => endpointIn(catalog, 'volume', { interface: 'public', region: null }), { code: 'access-denied' })
  for (const strange of [null, {}, { catalog: 'x' }, { catalog: [{ type: 'image', endpoints: {} }] }]) {
    t.same(catalogOf(strange), [])
  }
})
