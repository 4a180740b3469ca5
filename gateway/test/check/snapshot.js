// SPDX-License-Identifier: PostgreSQL
// snapshot.js: what a client reads when it knows nothing: all chats, and of each the last page, members, cursors.
//
// Both ends of the comparison are made here: what a client starts from, and what it is compared with in the end. Rows
// are brought into one form, in which the state that events have built can be told from them field by field.
//
// The order matters: the chat's row with its last_event_id is read first. Whatever is read after that is at least as
// new, and events above that id are applied to it again, which changes nothing.

const PAGE = 128;

const idOrder = (a, b) => BigInt(a) < BigInt(b) ? -1 : a === b ? 0 : 1;
export const laterId = (a, b) => idOrder(a, b) > 0 ? a : b;
export const isAfter = (a, b) => BigInt(a) > BigInt(b);
const time = text => text == null ? null : Date.parse(text);

// The same JSON whatever the order of its members.
export function canonical(value)
{
	if (Array.isArray(value))
		return value.map(canonical);
	if (value === null || typeof value !== 'object')
		return value;
	return Object.fromEntries(Object.keys(value).sort().map(key => [key, canonical(value[key])]));
}

// A message as list_messages and events show it. reactions: emoji → count; mine: the emojis that are the reader's own.
export function messageOf(row)
{
	return {
		id: row.id, kind: row.kind, number: row.number, sender_id: row.sender_id, body: row.body, edited: time(row.edited_at),
		deleted: time(row.deleted_at), reply: row.reply?.id ?? null, mentions: row.mentions.map(String).sort(idOrder),
		attributes: canonical(row.attributes), pinned: row.pinned, forwarded_from: row.forwarded_from,
		reactions: Object.fromEntries(row.reactions.map(({ emoji, count }) => [emoji, count])),
		mine: row.reactions.filter(({ mine }) => mine).map(({ emoji }) => emoji).sort()
	};
}

export function prefsOf(row, version = row.version)
{
	const { archived, pinned, marked_unread } = row;
	return { version, muted: time(row.muted_until), archived, pinned, marked_unread };
}

async function all(call, method, params, next)
{
	const rows = [];
	for (let more = true, from = {}; more;)
	{
		const page = await call(method, { page_size: PAGE, ...params, ...from });
		rows.push(...page.rows);
		more = page.has_more;
		if (more)
			from = next(page.rows.at(-1));
	}
	return rows;
}

export const readChats = call =>
	all(call, 'list_chats', { include_archived: true, include_left: true }, row => ({ before_id: row.last_event_id }));

// Messages, ascending: the newest page, or all from `low` on.
async function readMessages(call, chat_id, low)
{
	let rows = [];
	for (let more = true; more;)
	{
		const page = await call('list_messages', { chat_id, page_size: PAGE, ...rows.length ? { before_id: rows[0].id } : {} });
		rows = [...page.rows, ...rows];
		more = page.has_more && low !== undefined && isAfter(page.rows[0].id, low);
	}
	return rows.filter(row => low === undefined || !isAfter(low, row.id)).map(messageOf);
}

// How far each member has read and received, so far as these two messages can tell: list_receipts names those who have come
// to a message, but for its sender.
async function readReceipts(call, chat_id, messages)
{
	const first = messages[0];
	const other = messages.find(message => message.sender_id !== first.sender_id);
	const receipts = new Map();
	for (const message of [first, other].filter(Boolean))
		for (const row of await all(call, 'list_receipts', { chat_id, message_id: message.id }, last => ({ after_id: last.user_id })))
			receipts.set(row.user_id, { read: row.read_id, delivered: row.delivered_id });
	return receipts;
}

// One chat; null when it is not there (any more). low: see readMessages.
export async function readChat(call, chat_id, low)
{
	try
	{
		const row = await call('get_chat', { chat_id });
		const chat = {
			id: row.id, kind: row.kind, title: row.title, posting: row.posting, left: row.left_at !== null, last: row.last_event_id, count: row.message_count,
			read: row.read_id, readCount: row.message_count - row.unread, mentionCount: row.mentions, prefs: prefsOf(row, row.prefs_version),
			draft: row.draft ?? null, messages: [], members: new Map(), receipts: new Map()
		};
		if (chat.left)
			return chat;
		chat.messages = await readMessages(call, chat_id, low);
		for (const member of await all(call, 'list_members', { chat_id }, last => ({ after_id: last.id })))
			chat.members.set(member.id, member.role);
		if (chat.messages.length > 0)
			chat.receipts = await readReceipts(call, chat_id, chat.messages);
		return chat;
	}
	catch (error)
	{
		if (error.code === 404)
			return null;
		throw error;
	}
}
