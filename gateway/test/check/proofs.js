// SPDX-License-Identifier: PostgreSQL
// proofs.js: when all is quiet: what everybody has seen and been told, against the history in the database.

import { Connection } from './connection.js';
import { isAfter, readChat, readChats } from './snapshot.js';

const idOrder = (a, b) => isAfter(a.id, b.id) ? 1 : -1;
const groupBy = (list, keyOf) => list.reduce((groups, item) => groups.set(keyOf(item), [...groups.get(keyOf(item)) ?? [], item]), new Map());

// All durable events of all chats, from the tables: chat_id → Map id → row, ascending.
export async function readHistory(lab)
{
	const rows = await lab.rows(`
		SELECT m.chat_id::text, m.id::text, m.prev_id::text, 'message' AS type, m.sender_id::text AS actor_id, m.client_key, NULL::jsonb AS user_ids
		  FROM chat.messages m WHERE m.kind = 'user'
		UNION ALL
		SELECT e.chat_id::text, e.id::text, e.prev_id::text, e.type, e.actor_id::text, NULL, e.payload -> 'user_ids' FROM chat.events e`);
	const hidden = await lab.rows('SELECT h.user_id::text, h.message_id::text FROM chat.hidden_messages h');
	const chats = new Map();
	for (const row of rows.sort(idOrder))
	{
		if (!chats.has(row.chat_id))
			chats.set(row.chat_id, new Map());
		chats.get(row.chat_id).set(row.id, row);
	}
	return { chats, hidden: new Set(hidden.map(row => `${row.user_id} ${row.message_id}`)) };
}

// What was answered to senders and readers, and to those who let people in and took them out.
export function proveAnswers({ chats }, crowd, record)
{
	for (const sent of crowd.sent.filter(entry => entry.id))
	{
		const row = chats.get(sent.chat_id)?.get(sent.id);
		record.expect('lost', row !== undefined, () => ({ 'answered, and not in the history': sent }));
		if (row)
			record.expect('answer', row.actor_id === sent.user && row.client_key === sent.key, () => ({ answered: sent, history: row }));
	}
	const keys = new Set(crowd.sent.map(({ user, chat_id, key }) => `${chat_id} ${user} ${key}`));
	for (const [chat_id, rows] of chats)
		for (const row of rows.values())
			if (row.client_key)
				record.expect('repeated', keys.delete(`${chat_id} ${row.actor_id} ${row.client_key}`), () => ({ 'in the history again, or never sent': row }));
	for (const reads of groupBy(crowd.reads, ({ user, chat_id }) => `${user} ${chat_id}`).values())
		for (const read of reads)
		{
			const further = reads.find(before => before.end < read.start && isAfter(before.read_id, read.read_id));
			record.expect('cursor', further === undefined, () => ({ 'mark_read answered': read, 'after it had answered': further }));
		}
}

// The stream of each device, and of each reading that it has begun a chat with.
export function proveStreams({ chats, hidden }, devices, crowd, record)
{
	const answered = new Map(crowd.sent.filter(entry => entry.id).map(entry => [entry.id, entry]));
	for (const device of devices)
		for (const chat of [...device.former, ...device.chats.values()])
		{
			const who = { device: device.name, user: device.user.id, chat: chat.id };
			const history = chats.get(chat.id) ?? new Map();
			const isHidden = id => hidden.has(`${device.user.id} ${id}`);
			record.check('order', chat.seen.size);
			for (const swap of chat.disorder)
				record.violate('order', { ...who, ...swap });
			proveEvents(chat, history, who, record);
			for (const hole of chat.holes)
			{
				const between = [...history.keys()].filter(id => isAfter(id, hole.after) && isAfter(hole.before, id) && !isHidden(id));
				record.expect('chain', between.length === 0, () => ({ ...who, hole, missing: between }));
			}
			const ends = chat.left || chat.gone || device.chats.get(chat.id) !== chat;
			for (const [id, row] of history)
				if (isAfter(id, chat.floor) && !(ends && isAfter(id, chat.last)) && !isHidden(id))
					record.expect('lost', chat.seen.has(id), () => ({ ...who, missing: row, answered: answered.get(id) ?? null }));
		}
}

function proveEvents(chat, history, who, record)
{
	const keys = new Map();
	for (const [id, { prev_id, key, type }] of chat.seen)
	{
		const row = history.get(id);
		if (record.expect('repeated', row !== undefined, () => ({ ...who, 'came, and is not in the history': id, type, key })))
			record.expect('chain', row.prev_id === prev_id, () => ({ ...who, event: id, type, prev_id, 'in the history': row.prev_id }));
		if (key)
			record.expect('repeated', !keys.has(key), () => ({ ...who, key, came: [keys.get(key), id] }));
		keys.set(key, id);
	}
}

// Who is in a chat when: what came to a device of a user who was not, came only because he was let in again afterwards.
// crowd.moves are in the order of the events, as each user is moved in and out by one hand.
export function proveLeaks({ chats }, devices, crowd, record)
{
	const moves = groupBy(crowd.moves, ({ chat_id, user_id }) => `${chat_id} ${user_id}`);
	for (const [key, done] of moves)
	{
		const [chat_id, user_id] = key.split(' ');
		const events = [...chats.get(chat_id).values()].filter(row => row.user_ids?.includes(user_id) && /^member_(joined|left)$/.test(row.type));
		if (events.length > 0 && done.length < events.length)
			events.shift(); // how it began
		const matches = events.length === done.length && events.every((event, i) => (event.type === 'member_joined') === done[i].joins);
		record.expect('answer', matches, () => ({ chat: chat_id, user: user_id, moves: done.map(({ joins }) => joins), history: events }));
		if (matches)
			for (const device of devices.filter(({ user }) => user.id === user_id))
				proveAbsence(device, chat_id, events, done, record);
	}
}

function proveAbsence(device, chat_id, events, done, record)
{
	const arrivals = device.arrivals.filter(([, chat]) => chat === chat_id);
	for (const [at, , id, type] of arrivals)
	{
		const next = events.findIndex(event => !isAfter(id, event.id));
		const before = events.at(next < 0 ? -1 : next - 1);
		const out = next < 0 ? before.type === 'member_left' : events[next].type === 'member_joined' && events[next].id !== id;
		const allowed = !out || next >= 0 && at > done[next].start;
		record.expect('leak', allowed, () =>
			({ device: device.name, user: device.user.id, chat: chat_id, event: id, type, at, left: before, 'let in again': done[next] ?? null }));
	}
}

// What each device knows against what a new session of its user reads.
export async function proveStates(devices, sessionOf, url, record)
{
	const waiting = [...groupBy(devices, ({ user }) => user.id).values()];
	const work = async () => {
		for (let own; (own = waiting.shift());)
			await proveState(own, await sessionOf(own[0].user), url, record);
	};
	await Promise.all([work(), work(), work(), work()]);
}

async function proveState(devices, token, url, record)
{
	const connection = new Connection(url, `fresh ${devices[0].user.name}`, record, () => {});
	await connection.opened;
	const call = (method, params) => connection.call(method, params);
	await call('authenticate', { token });
	const fresh = new Map();
	for (const { id } of await readChats(call))
	{
		const baselines = devices.map(device => device.chats.get(id)?.baseline).filter(Boolean);
		const low = baselines.reduce((lowest, baseline) => isAfter(lowest, baseline) ? baseline : lowest, baselines[0]);
		fresh.set(id, await readChat(call, id, low));
	}
	connection.terminate();
	for (const device of devices)
		compareDevice(device, fresh, record);
}

function compareDevice(device, fresh, record)
{
	const who = { device: device.name, user: device.user.id };
	for (const [id, chat] of device.chats)
	{
		const real = fresh.get(id);
		if (!real)
		{
			record.expect('state', chat.gone || chat.left, () => ({ ...who, chat: id, 'known, but not listed': chat.kind }));
			continue;
		}
		const differences = chat.differences(real);
		record.check('state', chat.messages.size + 10);
		for (const [what, known, now] of differences)
			record.violate('state', { ...who, chat: id, what, known, fresh: now });
	}
	for (const [id, chat] of fresh)
		if (!device.chats.has(id) && chat.last !== id)
			record.violate('state', { ...who, chat: id, 'listed, but not known': chat.kind, left: chat.left });
}

export async function proveVerify(lab, record)
{
	const checks = await lab.rows('SELECT * FROM chat.verify()');
	for (const { check, ok, detail } of checks)
		record.expect('verify', ok, () => ({ check, detail }));
}
