// QuickFIX behind one object: its threads run the sessions, events wait in a bounded queue, an eventfd wakes the reader.
//
// A message of an application waits for room in the queue, so a slow reader slows the peer and nothing is lost; no lock
// of QuickFIX is held meanwhile. Every other event may come from the thread that also empties the queue: it never waits,
// and is counted when there is no room.
#ifndef TRADEWIND_FIX_ENGINE_HPP
#define TRADEWIND_FIX_ENGINE_HPP

#include <quickfix/Application.h>
#include <quickfix/FileLog.h>
#include <quickfix/FileStore.h>
#include <quickfix/Session.h>
#include <quickfix/SessionSettings.h>
#include <quickfix/SocketAcceptor.h>
#include <quickfix/SocketInitiator.h>

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

namespace tradewind {

enum FixKind { CREATED = 1, LOGON, LOGOUT, MESSAGE, ADMIN_IN, ADMIN_OUT, SENT, NOTE };

struct FixItem {
    int kind;
    std::string session;
    std::string bytes;
};

struct FixCounters {
    uint64_t taken, dropped, waits, wake_ups, queued;
};

class FixQueue {
public:
    FixQueue(size_t capacity, size_t most_bytes, int fd) : capacity_(capacity), most_bytes_(most_bytes), fd_(fd) {}

    void put(int kind, const std::string& session, const std::string& bytes) {
        std::unique_lock<std::mutex> lock(mutex_);
        if (kind == MESSAGE && !closed_ && is_full(bytes.size())) {
            ++counters_.waits;
            room_.wait(lock, [&] { return closed_ || !is_full(bytes.size()); });
        }
        // What QuickFIX counts as received while it stops is kept, up to as much again.
        const bool kept = kind == MESSAGE && closed_ && items_.size() < 2 * capacity_;
        if (!kept && is_full(bytes.size())) {
            ++counters_.dropped;
            return;
        }
        items_.push_back(FixItem{kind, session, bytes});
        held_ += bytes.size();
        if (items_.size() == 1) wake();
    }

    std::vector<FixItem> take(size_t most) {
        std::lock_guard<std::mutex> lock(mutex_);
        std::vector<FixItem> out;
        while (!items_.empty() && out.size() < most) {
            held_ -= items_.front().bytes.size();
            out.push_back(std::move(items_.front()));
            items_.pop_front();
        }
        counters_.taken += out.size();
        room_.notify_all();
        return out;
    }

    void close() {
        std::lock_guard<std::mutex> lock(mutex_);
        closed_ = true;
        room_.notify_all();
        wake();
    }

    FixCounters counters() {
        std::lock_guard<std::mutex> lock(mutex_);
        counters_.queued = items_.size();
        return counters_;
    }

private:
    // An empty queue takes a message of any size: one that is larger than the bound must not wait for ever.
    bool is_full(size_t more) const {
        return items_.size() >= capacity_ || (!items_.empty() && held_ + more > most_bytes_);
    }

    void wake() {
        const uint64_t one = 1;
        ++counters_.wake_ups;
        // A full eventfd is readable already.
        if (::write(fd_, &one, sizeof one) < 0) return;
    }

    const size_t capacity_, most_bytes_;
    const int fd_;
    std::mutex mutex_;
    std::condition_variable room_;
    std::deque<FixItem> items_;
    size_t held_ = 0;
    bool closed_ = false;
    FixCounters counters_{};
};

// Keeps the bytes of the last message as they came: QuickFIX hands on only a parsed message, in an order of its own.
class FixTap : public FIX::Log {
public:
    FixTap(FIX::Log* file, FixQueue& queue, std::string session)
        : file_(file), queue_(queue), session_(std::move(session)) {}
    void clear() override { file_->clear(); }
    void backup() override { file_->backup(); }
    void onIncoming(const std::string& text) override {
        file_->onIncoming(text);
        last = text;
    }
    void onOutgoing(const std::string& text) override { file_->onOutgoing(text); }
    void onEvent(const std::string& text) override {
        file_->onEvent(text);
        queue_.put(NOTE, session_, text);
    }
    FIX::Log* file() { return file_; }
    std::string last;

private:
    FIX::Log* file_;
    FixQueue& queue_;
    const std::string session_;
};

class FixTaps : public FIX::LogFactory {
public:
    FixTaps(const FIX::SessionSettings& settings, FixQueue& queue) : files_(settings), queue_(queue) {}
    FIX::Log* create() override { return new FixTap(files_.create(), queue_, ""); }
    FIX::Log* create(const FIX::SessionID& id) override {
        FixTap* tap = new FixTap(files_.create(id), queue_, id.toString());
        taps_[id.toString()] = tap;
        return tap;
    }
    void destroy(FIX::Log* log) override {
        FixTap* tap = static_cast<FixTap*>(log);
        for (auto at = taps_.begin(); at != taps_.end();) at = at->second == tap ? taps_.erase(at) : std::next(at);
        files_.destroy(tap->file());
        delete tap;
    }
    // The bytes as they came, if they are those of this message; one that had waited in QuickFIX is written anew.
    std::string bytes_of(const FIX::Message& message, const std::string& session) const {
        const auto found = taps_.find(session);
        const std::string number = "\00134=" + message.getHeader().getField(FIX::FIELD::MsgSeqNum) + "\001";
        if (found != taps_.end() && found->second->last.find(number) != std::string::npos) return found->second->last;
        return message.toString();
    }

private:
    FIX::FileLogFactory files_;
    FixQueue& queue_;
    std::map<std::string, FixTap*> taps_;
};

class FixApplication : public FIX::Application {
public:
    FixApplication(FixQueue& queue, FixTaps& taps) : queue_(queue), taps_(taps) {}

    std::set<std::string> accepted, gap_filled;
    bool echo = false;

    void onCreate(const FIX::SessionID& id) override { queue_.put(CREATED, id.toString(), ""); }
    void onLogon(const FIX::SessionID& id) override {
        seen_.clear();
        queue_.put(LOGON, id.toString(), "");
    }
    void onLogout(const FIX::SessionID& id) override { queue_.put(LOGOUT, id.toString(), ""); }
    void toAdmin(FIX::Message& message, const FIX::SessionID& id) override {
        queue_.put(ADMIN_OUT, id.toString(), message.toString());
    }
    void fromAdmin(const FIX::Message& message, const FIX::SessionID& id) throw(
        FIX::FieldNotFound, FIX::IncorrectDataFormat, FIX::IncorrectTagValue, FIX::RejectLogon) override {
        queue_.put(ADMIN_IN, id.toString(), taps_.bytes_of(message, id.toString()));
    }
    void toApp(FIX::Message& message, const FIX::SessionID& id) throw(FIX::DoNotSend) override {
        const std::string& type = message.getHeader().getField(FIX::FIELD::MsgType);
        const bool again = is_set(message, FIX::FIELD::PossDupFlag);
        if (again && gap_filled.count(type)) throw FIX::DoNotSend();
        FIX::Session* session = FIX::Session::lookupSession(id);
        // Not stored either: a later resend request must not send what the caller was told is not sent.
        if (!again && (session == nullptr || !session->isLoggedOn())) throw FIX::DoNotSend();
        if (!again) last_sent() = std::stoi(message.getHeader().getField(FIX::FIELD::MsgSeqNum));
        queue_.put(SENT, id.toString(), message.toString());
    }
    void fromApp(const FIX::Message& message, const FIX::SessionID& id) throw(
        FIX::FieldNotFound, FIX::IncorrectDataFormat, FIX::IncorrectTagValue, FIX::UnsupportedMessageType) override {
        const std::string& type = message.getHeader().getField(FIX::FIELD::MsgType);
        if (!accepted.empty() && !accepted.count(type)) throw FIX::UnsupportedMessageType();
        if (echo) answer(message, id, type);
        else queue_.put(MESSAGE, id.toString(), taps_.bytes_of(message, id.toString()));
    }
    // Of this thread's message under way: the number that it was given, 0 when it was refused.
    static int& last_sent() {
        static thread_local int number = 0;
        return number;
    }

private:
    static bool is_set(const FIX::Message& message, int flag) {
        return message.getHeader().isSetField(flag) && message.getHeader().getField(flag) == "Y";
    }
    void answer(const FIX::Message& message, const FIX::SessionID& id, const std::string& type) {
        if (type == "D") {
            const auto order = std::make_pair(id.toString(), message.getField(FIX::FIELD::ClOrdID));
            const bool is_new = seen_.size() < 100000 && seen_.insert(order).second;
            if (!is_new && is_set(message, FIX::FIELD::PossResend)) return;
        }
        FIX::Message copy(message);
        FIX::Session::sendToTarget(copy, id);
    }
    FixQueue& queue_;
    FixTaps& taps_;
    std::set<std::pair<std::string, std::string>> seen_;
};

struct FixState {
    bool logged_on, enabled;
    int next_sender, next_target;
};

struct FixSent {
    bool written;
    int sequence;
};

class FixEngineImpl {
public:
    FixEngineImpl(const std::string& settings, bool accepts, size_t capacity, size_t most_bytes, int fd)
        : text_(settings), settings_(text_), queue_(capacity, most_bytes, fd), taps_(settings_, queue_),
          stores_(settings_), application_(queue_, taps_) {
        // QuickFIX knows sessions by their names in the whole process; a second one of a name would take the first away.
        for (const FIX::SessionID& each : settings_.getSessions())
            if (FIX::Session::lookupSession(each) != nullptr)
                throw std::runtime_error("session " + each.toString() + " is in use in this process: stop it first");
        if (accepts) acceptor_.reset(new FIX::SocketAcceptor(application_, stores_, settings_, taps_));
        else initiator_.reset(new FIX::SocketInitiator(application_, stores_, settings_, taps_));
    }
    ~FixEngineImpl() { stop(true); }

    void accept(const std::string& type) { application_.accepted.insert(type); }
    void gap_fill(const std::string& type) { application_.gap_filled.insert(type); }
    void echo() { application_.echo = true; }

    void start() {
        if (acceptor_) acceptor_->start();
        else initiator_->start();
        started_ = true;
    }
    void stop(bool force) {
        queue_.close();
        std::lock_guard<std::mutex> stopping(stopping_);
        if (started_ && acceptor_) acceptor_->stop(force);
        if (started_ && initiator_) initiator_->stop(force);
        started_ = false;
        // The sessions end here and not with this object: their names are free for the next engine.
        std::lock_guard<std::mutex> lock(alive_);
        acceptor_.reset();
        initiator_.reset();
    }
    std::vector<FixItem> take(size_t most) { return queue_.take(most); }
    FixCounters counters() { return queue_.counters(); }

    FixSent send(const std::string& id, const std::string& text) {
        std::lock_guard<std::mutex> lock(alive_);
        FIX::Session& session = find(id);
        const std::string begin = session.getSessionID().getBeginString().getValue();
        const FIX::DataDictionary& words = session.getDataDictionaryProvider().getSessionDataDictionary(begin);
        FIX::Message message;
        message.setString("8=" + begin + "\0019=0\001" + text + "10=000\001", false, &words, &words);
        FixApplication::last_sent() = 0;
        const bool written = FIX::Session::sendToTarget(message, session.getSessionID());
        const int number = FixApplication::last_sent();
        return FixSent{written && number != 0, number};
    }
    FixState state(const std::string& id) {
        std::lock_guard<std::mutex> lock(alive_);
        FIX::Session& session = find(id);
        return FixState{session.isLoggedOn(), session.isEnabled(), session.getExpectedSenderNum(),
                        session.getExpectedTargetNum()};
    }
    void logon(const std::string& id) {
        std::lock_guard<std::mutex> lock(alive_);
        find(id).logon();
    }
    void logout(const std::string& id, const std::string& reason) {
        std::lock_guard<std::mutex> lock(alive_);
        find(id).logout(reason);
    }
    void expect(const std::string& id, int number) {
        std::lock_guard<std::mutex> lock(alive_);
        find(id).setNextTargetMsgSeqNum(number);
    }
    void set_next_sender(const std::string& id, int number) {
        std::lock_guard<std::mutex> lock(alive_);
        find(id).setNextSenderMsgSeqNum(number);
    }

private:
    FIX::Session& find(const std::string& id) {
        if (!acceptor_ && !initiator_) throw std::out_of_range("no FIX session " + id + ": the engine is stopped");
        const auto& ids = acceptor_ ? acceptor_->getSessions() : initiator_->getSessions();
        for (const FIX::SessionID& each : ids) {
            if (each.toString() != id) continue;
            if (FIX::Session* session = FIX::Session::lookupSession(each)) return *session;
        }
        throw std::out_of_range("no FIX session " + id + " in this engine");
    }
    std::mutex stopping_, alive_;
    std::istringstream text_;
    FIX::SessionSettings settings_;
    FixQueue queue_;
    FixTaps taps_;
    FIX::FileStoreFactory stores_;
    FixApplication application_;
    std::unique_ptr<FIX::SocketAcceptor> acceptor_;
    std::unique_ptr<FIX::SocketInitiator> initiator_;
    bool started_ = false;
};

}  // namespace tradewind

#endif
