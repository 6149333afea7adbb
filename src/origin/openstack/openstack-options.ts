/**
 * Options of an OpenStack account: settings, and for those that are not said the variables that OpenStack's own tools
 * read. Pure.
 *
 * Source: python-openstackclient, "Authentication" (OS_*); python-swiftclient, swift(1) (ST_*, OS_STORAGE_URL).
 */
import { CacheError } from '../../base/errors.ts'
import type { SecretSource } from '../http/secret.ts'
import type { Named } from './keystone-login.ts'
import type { EndpointChoice } from './service-catalog.ts'

/** Versions of the login: Keystone's, and the first one of Swift. */
export const logins = ['v3', 'v1'] as const

/** Settings; null: not said. */
export interface OpenStackSettings {
  readonly auth: (typeof logins)[number] | null
  readonly authUrl: string | null
  readonly username: string | null
  readonly userDomain: string | null
  readonly password: SecretSource | null
  readonly project: string | null
  readonly projectDomain: string | null
  readonly applicationCredentialId: string | null
  readonly applicationCredentialSecret: SecretSource | null
  /** A token that others renew, in place of a login. */
  readonly token: SecretSource | null
  readonly region: string | null
  readonly interface: string | null
}

export const openStackSettingsDefault: OpenStackSettings = {
  auth: null,
  authUrl: null,
  username: null,
  userDomain: null,
  password: null,
  project: null,
  projectDomain: null,
  applicationCredentialId: null,
  applicationCredentialSecret: null,
  token: null,
  region: null,
  interface: null,
}

/** The way in; `none`: without a token. */
export type AccountLogin =
  | { readonly kind: 'none' }
  | { readonly kind: 'token'; readonly token: SecretSource }
  | { readonly kind: 'v1'; readonly authUrl: string; readonly username: string; readonly password: SecretSource }
  | {
      readonly kind: 'application credential'
      readonly authUrl: string
      readonly id: string
      readonly secret: SecretSource
    }
  | {
      readonly kind: 'password'
      readonly authUrl: string
      readonly user: Named
      readonly userDomain: Named
      readonly password: SecretSource
      readonly project: Named
      readonly projectDomain: Named
    }

export type OpenStackEnvironment = Readonly<Record<string, string | undefined>>

/** @throws CacheError invalid-argument when something is missing, or does not go together */
export function accountLoginOf(settings: OpenStackSettings, environment: OpenStackEnvironment): AccountLogin {
  const { token } = settings
  if (token !== null) return { kind: 'token', token }
  const variable = (...names: string[]) => names.map(name => environment[name]).find(Boolean) ?? null
  const authUrl = settings.authUrl ?? variable('OS_AUTH_URL', 'ST_AUTH')
  if (authUrl === null) return { kind: 'none' }
  const kind = settings.auth ?? versionOf(authUrl)
  if (kind === 'v1') {
    const username = settings.username ?? variable('ST_USER', 'OS_USERNAME')
    const password = settings.password ?? secretIn(environment, 'ST_KEY', 'OS_PASSWORD')
    return { kind, authUrl, username: needed(username, 'username'), password: needed(password, 'password') }
  }
  const withVersion = /\/v3\/?$/.test(authUrl) ? authUrl : `${authUrl.replace(/\/+$/, '')}/v3`
  const said = { ...settings, authUrl: withVersion }
  // A user of the settings outranks a credential of the environment.
  const credentialId =
    settings.applicationCredentialId ?? (settings.username === null ? variable('OS_APPLICATION_CREDENTIAL_ID') : null)
  return credentialId === null ? ofPassword(said, environment) : ofCredential(said, credentialId, environment)
}

/** The endpoint that is wanted of the catalog. */
export function endpointChoiceOf(settings: OpenStackSettings, environment: OpenStackEnvironment): EndpointChoice {
  const name = settings.interface ?? environment.OS_INTERFACE ?? 'public'
  // Older tools write publicURL.
  return { interface: name.replace(/URL$/, ''), region: settings.region ?? (environment.OS_REGION_NAME || null) }
}

function ofCredential(
  { authUrl, applicationCredentialSecret }: OpenStackSettings & { readonly authUrl: string },
  id: string,
  environment: OpenStackEnvironment,
): AccountLogin {
  const secret = applicationCredentialSecret ?? secretIn(environment, 'OS_APPLICATION_CREDENTIAL_SECRET')
  return { kind: 'application credential', authUrl, id, secret: needed(secret, 'applicationCredentialSecret') }
}

function ofPassword(
  settings: OpenStackSettings & { readonly authUrl: string },
  environment: OpenStackEnvironment,
): AccountLogin {
  const named = (said: string | null, name: string, ...older: string[]): Named | null => {
    if (said !== null) return { name: said }
    const id = environment[`${name}_ID`]
    if (id) return { id }
    const text = [`${name}_NAME`, ...older].map(variable => environment[variable]).find(Boolean)
    return text === undefined ? null : { name: text }
  }
  const defaultDomain = { id: environment.OS_DEFAULT_DOMAIN || 'default' }
  const userId = environment.OS_USER_ID
  const username = settings.username ?? environment.OS_USERNAME ?? null
  const user: Named | null = username ? { name: username } : userId ? { id: userId } : null
  return {
    kind: 'password',
    authUrl: settings.authUrl,
    user: needed(user, 'username'),
    userDomain: named(settings.userDomain, 'OS_USER_DOMAIN') ?? defaultDomain,
    password: needed(settings.password ?? secretIn(environment, 'OS_PASSWORD'), 'password'),
    project: needed(named(settings.project, 'OS_PROJECT', 'OS_TENANT_NAME'), 'project'),
    projectDomain: named(settings.projectDomain, 'OS_PROJECT_DOMAIN') ?? defaultDomain,
  }
}

/** The first login of Swift is at `/auth/v1.0` and the like. */
function versionOf(authUrl: string): 'v3' | 'v1' {
  return /\/v1(\.0)?\/?$/.test(authUrl) ? 'v1' : 'v3'
}

function secretIn(environment: OpenStackEnvironment, ...names: string[]): SecretSource | null {
  const name = names.find(name => environment[name])
  return name === undefined ? null : { env: name }
}

function needed<T>(value: T | null, setting: string): T {
  if (value !== null) return value
  throw new CacheError('invalid-argument', `authUrl needs ${setting} beside it, as a setting or in the environment`)
}
