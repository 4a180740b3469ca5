// SPDX-License-Identifier: PostgreSQL
// users.js: what people do all day: each device makes calls at random, one after the other, and comes and goes.
//
// Whatever has an answer is noted here, for the proofs: `sent` (messages), `reads` (answers of mark_read), `moves` (who was
// let in and taken out, by whom and when). A call whose outcome is unknown is made again until it is known; those who
// come and go in one chat are driven by one loop each, so that their moves have an order.

import { sleep } from '../e2e/harness.js';
import { isOpen } from './connection.js';

const EMOJIS = ['👍', '❤️', '😂', '🎉'];
const WEIGHTS = {
	send: 40, edit: 9, remove: 3, hide: 1, react: 10, unreact: 4, pin: 2, read: 14, deliver: 3, unread: 1, draft: 7, prefs: 5, type: 4, title: 1
};

export class Crowd
{
	constructor(record, seed, devices, { pause })
	{
		Object.assign(this, { record, seed, devices, pause });
		this.sent = [];  // {user, chat_id, key, body, id, number, refused}
		this.reads = []; // {user, chat_id, start, end, read_id}
		this.moves = []; // {chat_id, user_id, joins, start}: those that were answered
		this.serial = 0;
	}

	start(randomOf)
	{
		this.running = true;
		this.loops = this.devices.map(device => this.#live(device, randomOf(`user ${device.name}`)));
	}

	// Sleeps, but not beyond the end.
	async #rest(ms)
	{
		for (const end = performance.now() + ms; this.running && performance.now() < end;)
			await sleep(Math.min(50, ms));
	}

	// Others' loops run along: what they do is theirs, when they end is ours.
	join(loop)
	{
		this.loops.push(loop);
	}

	async stop()
	{
		this.running = false;
		await Promise.all(this.loops);
	}

	async #live(device, random)
	{
		while (this.running)
		{
			await this.#rest(random.between(this.pause / 2, this.pause * 3 / 2));
			const chats = [...device.chats.values()].filter(chat => !chat.left && !chat.gone);
			if (!device.ready || chats.length === 0)
				continue;
			await this.attempt(device, () => this[random.weighted(WEIGHTS)](device, random.pick(chats), random));
		}
	}

	// A refusal is part of life: what was pinned is deleted by now, who sends was taken out.
	async attempt(device, act)
	{
		try
		{
			return await act();
		}
		catch (error)
		{
			if (error.code === undefined || error.code < 400)
				if (!isOpen(error))
					throw error;
			this.record.count(`refused ${error.code ?? 'at the end'} ${error.reason ?? ''}`);
			return undefined;
		}
	}

	async send(device, chat, random, body)
	{
		const key = `${device.name}.${++this.serial}`;
		const others = [...chat.members.keys()].filter(id => id !== device.user.id);
		const message = { chat_id: chat.id, body: body ?? `${key} ${random.chance(0.04) ? 'ж€😀'.repeat(900) : 'says something'}`, client_key: key };
		if (random.chance(0.15))
			message.reply_to_id = this.#someMessage(chat, random, one => one.deleted === null)?.id;
		if (random.chance(0.1) && others.length > 0)
			message.mention_ids = [random.pick(others)];
		if (random.chance(0.05))
			message.attributes = { colour: random.pick(['red', 'green']), n: this.serial };
		const entry = { user: device.user.id, device: device.name, chat_id: chat.id, key, body: message.body };
		this.sent.push(entry);
		try
		{
			const { id, number } = await device.persist('send_message', message);
			Object.assign(entry, { id, number, at: this.record.now() });
		}
		catch (error)
		{
			entry.refused = error.message;
			throw error;
		}
	}

	// One of the last messages known.
	#someMessage(chat, random, fits = () => true)
	{
		return random.pick([...chat.messages.values()].slice(-30).filter(message => message.kind === 'user' && fits(message)));
	}

	async #with(message, act)
	{
		if (message)
			await act(message.id);
	}

	edit(device, chat, random)
	{
		const own = this.#someMessage(chat, random, one => one.sender_id === device.user.id && one.deleted === null);
		return this.#with(own, message_id =>
			device.persist('edit_message', { chat_id: chat.id, message_id, body: `${own.body.split(' ')[0]} edited ${++this.serial}` }));
	}

	remove(device, chat, random)
	{
		return this.#with(this.#someMessage(chat, random, one => one.sender_id === device.user.id && one.deleted === null), message_id =>
			device.persist('delete_message', { chat_id: chat.id, message_id }));
	}

	// A message that mentions one counts also when it is hidden, which no client could know after a reload.
	hide(device, chat, random)
	{
		return this.#with(this.#someMessage(chat, random, one => !one.mentions.includes(device.user.id)), message_id =>
			device.persist('delete_message', { chat_id: chat.id, message_id, for_everyone: false }));
	}

	react(device, chat, random)
	{
		return this.#with(this.#someMessage(chat, random, one => one.deleted === null), message_id =>
			device.persist('add_reaction', { chat_id: chat.id, message_id, emoji: random.pick(EMOJIS) }));
	}

	unreact(device, chat, random)
	{
		const liked = this.#someMessage(chat, random, one => one.mine.length > 0);
		return this.#with(liked, message_id =>
			device.persist('remove_reaction', { chat_id: chat.id, message_id, emoji: random.pick(liked.mine) }));
	}

	pin(device, chat, random)
	{
		return this.#with(this.#someMessage(chat, random, one => one.deleted === null), message_id =>
			device.persist(random.chance(0.6) ? 'pin_message' : 'unpin_message', { chat_id: chat.id, message_id }));
	}

	read(device, chat, random)
	{
		return this.#with(this.#someMessage(chat, random), message_id => this.markRead(device, chat.id, message_id));
	}

	async markRead(device, chat_id, message_id)
	{
		const start = this.record.now();
		const { read_id } = await device.persist('mark_read', { chat_id, message_id });
		this.reads.push({ user: device.user.id, chat_id, start, end: this.record.now(), read_id });
	}

	deliver(device, chat, random)
	{
		return this.#with(this.#someMessage(chat, random), message_id => device.persist('mark_delivered', { chat_id: chat.id, message_id }));
	}

	unread(device, chat, random)
	{
		return device.persist('mark_unread', { chat_id: chat.id, marked: random.chance(0.7) });
	}

	draft(device, chat, random)
	{
		return device.persist('save_draft', { chat_id: chat.id, body: random.chance(0.2) ? null : `draft ${device.name}.${++this.serial}` });
	}

	prefs(device, chat, random)
	{
		return device.persist('set_chat_prefs', random.chance(0.5) ? { chat_id: chat.id, pinned: random.chance(0.5) } :
			{ chat_id: chat.id, archived: random.chance(0.3), muted_until: random.chance(0.5) ? '2099-01-01T00:00:00Z' : '2000-01-01T00:00:00Z' });
	}

	type(device, chat)
	{
		return device.persist('set_typing', { chat_id: chat.id, typing: true });
	}

	title(device, chat)
	{
		return chat.members.get(device.user.id) === 'owner' ? device.persist('edit_chat', { chat_id: chat.id, title: `title ${++this.serial}` }) : undefined;
	}

	async #move(chat_id, user_id, joins, act)
	{
		const start = this.record.now();
		await act();
		this.moves.push({ chat_id, user_id, joins, start });
	}

	// Takes one of these users out of the chat and lets him in again, in turn.
	async churn(device, chat_id, user_ids, pause, random)
	{
		const out = new Set();
		while (this.running)
		{
			await this.#rest(random.between(pause / 2, pause * 3 / 2));
			const user_id = random.pick(user_ids);
			const joins = out.delete(user_id);
			if (!joins)
				out.add(user_id);
			await this.attempt(device, () => this.#move(chat_id, user_id, joins, () =>
				joins ? device.persist('add_members', { chat_id, user_ids: [user_id] }) : device.persist('remove_member', { chat_id, user_id })));
		}
	}

	// Joins a room and leaves it, in turn.
	async visit(device, chat_id, pause, random)
	{
		for (let joins = true; this.running; joins = !joins)
		{
			await this.#rest(random.between(pause / 2, pause * 3 / 2));
			await this.attempt(device, () => this.#move(chat_id, device.user.id, joins, () =>
				device.persist(joins ? 'join_room' : 'leave_chat', { chat_id })));
		}
	}

	// New chats appear, and some go again.
	async found(device, others, pause, random)
	{
		const own = [];
		while (this.running)
		{
			await this.#rest(random.between(pause / 2, pause * 3 / 2));
			await this.attempt(device, async () => {
				if (own.length > 2)
				{
					await device.persist('delete_chat', { chat_id: own.shift() });
					return;
				}
				const member_ids = random.shuffle(others).slice(0, 2);
				const group = await device.persist('create_group', { title: 'a new one', member_ids, client_key: `group ${device.name}.${++this.serial}` });
				own.push(group.id);
			});
		}
	}

	// One draft after the other, each another one.
	async compose(device, chat_id, pause, random)
	{
		while (this.running)
		{
			await this.#rest(random.between(pause / 2, pause * 3 / 2));
			await this.attempt(device, () => device.persist('save_draft', { chat_id, body: `draft ${device.name}.${++this.serial}` }));
		}
	}

	// Sockets end at any moment; now and then for long, or with everything that the device knew.
	async wander(device, pause, random, { forgetting })
	{
		while (this.running)
		{
			await this.#rest(random.between(pause / 2, pause * 3 / 2));
			if (this.running)
				await device.leave(random.chance(0.15) ? random.between(4000, 9000) : random.between(0, 1500), forgetting && random.chance(0.1), () => this.running);
		}
	}
}
