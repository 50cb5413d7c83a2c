import { oidcProviderArn } from '../../access/identities/arns.ts';
import type { OidcProvider } from '../../access/identities/entities.ts';
import { makeEntityId } from '../../access/identities/identifiers.ts';
import type { Identities } from '../../access/identities/identities.ts';
import type { Principal } from '../../access/principal.ts';
import { IamError, invalidMember } from '../../errors/iam-error.ts';
import { pageOf, PAGING_PARAMETERS } from '../paging.ts';
import { members, type ParameterValues, text } from '../parameter.ts';
import { queryOperation, type QueryOperationRow, type QueryTarget, type TargetRequest } from '../query-operation.ts';
import { describeTags } from '../rules/describe.ts';
import { iamTarget } from '../rules/entity-conditions.ts';
import { ARN, mergeTags, TAG_KEYS, TAGS, withoutTags } from '../rules/parameters.ts';

const MOST_CLIENT_IDS = 100;
const MOST_THUMBPRINTS = 5;
const CLIENT_ID = text({ min: 1, max: 255 });
const THUMBPRINTS = members(text({ min: 40, max: 40, pattern: /^[0-9A-Fa-f]*$/ }), { max: MOST_THUMBPRINTS });
const NAMED = { OpenIDConnectProviderArn: ARN };

const createProvider = queryOperation({
  name: 'CreateOpenIDConnectProvider',
  service: 'iam',
  parameters: {
    Url: text({ min: 1, max: 255 }),
    ClientIDList: members(CLIENT_ID, { max: MOST_CLIENT_IDS }),
    ThumbprintList: THUMBPRINTS,
    Tags: TAGS,
  },
  target: ({ parameters, principal }) => {
    const name = parameters.Url.replace(/^https:\/\//, '');
    const arn = oidcProviderArn({ accountId: principal.owner.accountId, name });
    return iamTarget(arn, { requestTags: parameters.Tags });
  },
  handler: async ({ parameters, principal, services: { identities, randomness }, nowMs }) => {
    const { accountId } = principal.owner;
    const name = nameOfUrl(parameters.Url);
    const tags = mergeTags([], parameters.Tags);
    const provider = await identities.change(async ({ oidcProviders }) => {
      if (identities.oidcProviders.find(accountId, name) !== undefined) {
        throw new IamError('EntityAlreadyExists', `Provider with url https://${name} already exists.`);
      }
      const made: OidcProvider = {
        id: makeEntityId('oidcProviders', randomness),
        accountId,
        name,
        createdAtMs: nowMs,
        clientIds: [...new Set(parameters.ClientIDList)],
        thumbprints: normalThumbprints(parameters.ThumbprintList),
        tags,
      };
      await oidcProviders.put(made);
      return made;
    });
    return { OpenIDConnectProviderArn: oidcProviderArn(provider), Tags: describeTags(provider.tags) };
  },
});

const getProvider = queryOperation({
  name: 'GetOpenIDConnectProvider',
  service: 'iam',
  parameters: NAMED,
  target: providerTarget,
  handler: async (request) => {
    const { name, clientIds, thumbprints, createdAtMs, tags } = requireProvider(request);
    return {
      Url: name,
      ClientIDList: clientIds,
      ThumbprintList: thumbprints,
      CreateDate: new Date(createdAtMs),
      Tags: describeTags(tags),
    };
  },
});

const listProviders = queryOperation({
  name: 'ListOpenIDConnectProviders',
  service: 'iam',
  parameters: {},
  target: ({ principal }) => iamTarget(`arn:aws:iam::${principal.owner.accountId}:oidc-provider/*`),
  handler: async ({ principal, services }) => {
    const providers = services.identities.oidcProviders.list(principal.owner.accountId);
    return { OpenIDConnectProviderList: providers.map((provider) => ({ Arn: oidcProviderArn(provider) })) };
  },
});

const deleteProvider = queryOperation({
  name: 'DeleteOpenIDConnectProvider',
  service: 'iam',
  parameters: NAMED,
  target: providerTarget,
  handler: async ({ parameters, principal, services: { identities } }) => {
    await identities.change(async ({ oidcProviders }) => {
      // Gone already is as good, as on AWS.
      const provider = findProvider(identities, principal, parameters.OpenIDConnectProviderArn);
      if (provider !== undefined) await oidcProviders.delete(provider.id);
    });
    return undefined;
  },
});

const addClientId = queryOperation({
  name: 'AddClientIDToOpenIDConnectProvider',
  service: 'iam',
  parameters: { ...NAMED, ClientID: CLIENT_ID },
  target: providerTarget,
  handler: async (request) => {
    await changeProvider(request, (provider) => {
      const clientIds = [...new Set([...provider.clientIds, request.parameters.ClientID])];
      if (clientIds.length > MOST_CLIENT_IDS) {
        throw new IamError(
          'LimitExceeded',
          `Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: ${MOST_CLIENT_IDS}`,
        );
      }
      return { ...provider, clientIds };
    });
    return undefined;
  },
});

const removeClientId = queryOperation({
  name: 'RemoveClientIDFromOpenIDConnectProvider',
  service: 'iam',
  parameters: { ...NAMED, ClientID: CLIENT_ID },
  target: providerTarget,
  handler: async (request) => {
    await changeProvider(request, (provider) => ({
      ...provider,
      clientIds: provider.clientIds.filter((each) => each !== request.parameters.ClientID),
    }));
    return undefined;
  },
});

const updateThumbprints = queryOperation({
  name: 'UpdateOpenIDConnectProviderThumbprint',
  service: 'iam',
  parameters: { ...NAMED, ThumbprintList: THUMBPRINTS },
  target: providerTarget,
  handler: async (request) => {
    const thumbprints = normalThumbprints(request.parameters.ThumbprintList);
    await changeProvider(request, (provider) => ({ ...provider, thumbprints }));
    return undefined;
  },
});

const tagProvider = queryOperation({
  name: 'TagOpenIDConnectProvider',
  service: 'iam',
  parameters: { ...NAMED, Tags: TAGS },
  target: (request) => providerTarget(request, { requestTags: request.parameters.Tags }),
  handler: async (request) => {
    const { Tags } = request.parameters;
    await changeProvider(request, (provider) => ({ ...provider, tags: mergeTags(provider.tags, Tags) }));
    return undefined;
  },
});

const untagProvider = queryOperation({
  name: 'UntagOpenIDConnectProvider',
  service: 'iam',
  parameters: { ...NAMED, TagKeys: TAG_KEYS },
  target: (request) => providerTarget(request, { tagKeys: request.parameters.TagKeys }),
  handler: async (request) => {
    const { TagKeys } = request.parameters;
    await changeProvider(request, (provider) => ({ ...provider, tags: withoutTags(provider.tags, TagKeys) }));
    return undefined;
  },
});

const listProviderTags = queryOperation({
  name: 'ListOpenIDConnectProviderTags',
  service: 'iam',
  parameters: { ...NAMED, ...PAGING_PARAMETERS },
  target: providerTarget,
  handler: async (request) => {
    const tags = requireProvider(request).tags.toSorted((a, b) => (a.key < b.key ? -1 : 1));
    const { items, IsTruncated, Marker } = pageOf(tags, request.parameters, ({ key }) => key);
    return { Tags: items.map(({ key, value }) => ({ Key: key, Value: value })), IsTruncated, Marker };
  },
});

type ProviderRequest = Pick<TargetRequest<typeof NAMED>, 'principal' | 'services'> & {
  readonly parameters: ParameterValues<typeof NAMED>;
};

function providerTarget(
  { parameters, principal, services }: ProviderRequest,
  facts: Parameters<typeof iamTarget>[1] = {},
): QueryTarget {
  const arn = parameters.OpenIDConnectProviderArn;
  return iamTarget(arn, { ...facts, resourceTags: findProvider(services.identities, principal, arn)?.tags });
}

/** Of the caller's own account: no other's can be named. */
function findProvider(identities: Identities, { owner }: Principal, arn: string): OidcProvider | undefined {
  return identities.oidcProviders.list(owner.accountId).find((provider) => oidcProviderArn(provider) === arn);
}

/** @throws IamError NoSuchEntity */
function requireProvider({ parameters, principal, services }: ProviderRequest): OidcProvider {
  const provider = findProvider(services.identities, principal, parameters.OpenIDConnectProviderArn);
  if (provider !== undefined) return provider;
  throw new IamError('NoSuchEntity', `OpenIDConnect Provider not found for arn ${parameters.OpenIDConnectProviderArn}`);
}

/** @throws IamError NoSuchEntity */
async function changeProvider(
  request: ProviderRequest,
  change: (provider: OidcProvider) => OidcProvider,
): Promise<void> {
  await request.services.identities.change(async ({ oidcProviders }) => {
    await oidcProviders.put(change(requireProvider(request)));
  });
}

/**
 * `https://login.example/realm` as `login.example/realm`: what tokens say in `iss` must be the URL, letter for letter.
 * @throws IamError ValidationError
 */
function nameOfUrl(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  const name = url.slice('https://'.length);
  const isPlain =
    parsed?.protocol === 'https:' &&
    `${parsed.host}${parsed.pathname}`.replace(/\/$/, '') === name.replace(/\/$/, '') &&
    parsed.username === '' &&
    /^[a-z0-9.:/_~%-]+$/i.test(name);
  if (!isPlain) throw invalidMember('Url', url, 'Member must be an https URL without query, fragment and credentials');
  return name;
}

function normalThumbprints(thumbprints: readonly string[]): string[] {
  return [...new Set(thumbprints.map((each) => each.toLowerCase()))];
}

export const PROVIDER_OPERATIONS: readonly QueryOperationRow[] = [
  addClientId,
  createProvider,
  deleteProvider,
  getProvider,
  listProviderTags,
  listProviders,
  removeClientId,
  tagProvider,
  untagProvider,
  updateThumbprints,
];
