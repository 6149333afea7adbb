/**
 * Settings of origins in OpenStack, beside those that every origin has: of Swift, and of the image service.
 */
import { z } from 'zod'
import type { Logger } from '../../base/logger.ts'
import type { GlanceOptions } from '../../origin/glance/glance-origin.ts'
import { type Cloud, cloudNamed } from '../../origin/openstack/clouds-file.ts'
import { logins } from '../../origin/openstack/openstack-options.ts'
import type { SwiftOptions } from '../../origin/swift/swift-origin.ts'
import { isSwiftUrl, swiftPlaceOf } from '../../origin/swift/swift-url.ts'
import { booleanField, optionalChoiceField, secretField, setting, shown } from './setting-fields.ts'

/** One line of text; null when it is not said. */
function textField(
  range: string,
  described: { readonly what: string; readonly unset: string; readonly live: boolean },
) {
  const schema = z
    .string({ error: ({ input }) => `${shown(input)} is not a text` })
    .regex(/^[^\p{Cc}]+$/u, { error: ({ input }) => `${shown(input)} is not one line of text` })
  return setting(schema.nullable().default(null), { kind: 'text', range, ...described })
}

/** Of an account. */
export const openStackFields = {
  cloud: textField('a name', {
    live: false,
    what: 'swift and glance: cloud in clouds.yaml that login, region and authorities come from where no setting has them; part of the identity of cached images',
    unset: '`OS_CLOUD`, unless a login is set',
  }),
  authUrl: textField('a URL', {
    live: false,
    what: 'swift and glance: URL of the login, such as https://HOST:5000/v3 or https://HOST/auth/v1.0; part of the identity of cached images',
    unset: '`OS_AUTH_URL`, `ST_AUTH`',
  }),
  auth: optionalChoiceField('auth', logins, {
    live: true,
    what: 'swift and glance: version of the login: that of Keystone, or the first one of Swift',
    unset: 'as the path of authUrl says',
  }),
  username: textField('a name', {
    live: true,
    what: 'swift and glance: user of the login',
    unset: '`OS_USERNAME`, `ST_USER`',
  }),
  userDomain: textField('a name', {
    live: true,
    what: 'swift and glance: domain of `username`',
    unset: '`OS_USER_DOMAIN_NAME`, else the default one',
  }),
  password: secretField({
    live: true,
    what: 'swift and glance: password of `username`, or its key',
    unset: '`OS_PASSWORD`, `ST_KEY`',
  }),
  project: textField('a name', {
    live: false,
    what: 'swift and glance: project of the images; part of the identity of cached images',
    unset: '`OS_PROJECT_NAME`',
  }),
  projectDomain: textField('a name', {
    live: true,
    what: 'swift and glance: domain of `project`',
    unset: '`OS_PROJECT_DOMAIN_NAME`, else the default one',
  }),
  applicationCredentialId: textField('an id', {
    live: true,
    what: 'swift and glance: id of an application credential, in place of user and project',
    unset: '`OS_APPLICATION_CREDENTIAL_ID`',
  }),
  applicationCredentialSecret: secretField({
    live: true,
    what: 'swift and glance: secret of applicationCredentialId',
    unset: '`OS_APPLICATION_CREDENTIAL_SECRET`',
  }),
  token: secretField({
    live: true,
    what: 'swift and glance: a token that is renewed elsewhere, in place of a login; with storageUrl, or a host in the URL',
    unset: 'none',
  }),
  region: textField('a name', {
    live: false,
    what: 'swift and glance: region in the catalog of services; part of the identity of cached images',
    unset: '`OS_REGION_NAME`, else the first one',
  }),
  interface: textField('a name', {
    live: true,
    what: 'swift and glance: interface in the catalog of services: public, internal or admin',
    unset: '`OS_INTERFACE`, else public',
  }),
}

/** Of swift origins. */
export const swiftFields = {
  ...openStackFields,
  storageUrl: textField('a URL', {
    live: false,
    what: 'swift: URL of the account, in place of the one that the login gives; part of the identity of cached images',
    unset: '`OS_STORAGE_URL`, else that of the login',
  }),
}

type AccountSettings = z.output<z.ZodObject<typeof openStackFields>>

/**
 * The cloud that the settings, the URL or the environment name; null: none.
 * @throws CacheError invalid-argument
 */
export function cloudOf(settings: AccountSettings & { readonly url: string }): Cloud | null {
  const place = isSwiftUrl(settings.url) ? swiftPlaceOf(settings.url) : null
  const named = settings.cloud ?? place?.cloud ?? null
  const hasLogin = Boolean(settings.authUrl ?? settings.token ?? place?.auth ?? place?.storage)
  const name = named ?? (hasLogin ? null : process.env.OS_CLOUD || null)
  return name === null ? null : cloudNamed(name, process.env)
}

type SwiftSettings = z.output<z.ZodObject<typeof swiftFields>>

/** The same, as src/origin/open-origin.ts wants it. */
export function swiftOptionsOf(settings: SwiftSettings, cloud: Cloud | null, logger: Logger): SwiftOptions {
  const password = settings.password ?? cloud?.password ?? null
  const applicationCredentialSecret = settings.applicationCredentialSecret ?? cloud?.applicationCredentialSecret ?? null
  const { token = null } = settings
  const environment = cloud?.environment ?? process.env
  return { settings: { ...settings, password, applicationCredentialSecret, token }, environment, logger }
}

/** Of glance origins. */
export const glanceFields = {
  ...openStackFields,
  insecure: booleanField({
    live: true,
    what: 'oci and glance: HTTP without TLS is spoken with the host of the URL',
    unset: 'on loopback addresses only',
  }),
}

type GlanceSettings = z.output<z.ZodObject<typeof glanceFields>>

/** The same, as src/origin/open-origin.ts wants it. */
export function glanceOptionsOf(
  { insecure, ...settings }: GlanceSettings,
  cloud: Cloud | null,
  logger: Logger,
): GlanceOptions {
  return { ...swiftOptionsOf({ ...settings, storageUrl: null }, cloud, logger), isInsecure: insecure, stores: [] }
}
