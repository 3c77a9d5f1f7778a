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
#include <quickfix/Utility.h>

#include <arpa/inet.h>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace tradewind {

// Where the acceptor that this thread starts listens; an empty host is every interface.
struct ListenPlace {
    std::string host;
    bool asked = false;
};

inline ListenPlace& listen_place() {
    static thread_local ListenPlace place;
    return place;
}

}  // namespace tradewind

// In place of QuickFIX's own, which knows no address: the loader finds this one first, as it is in the module that
// brought QuickFIX in. Where it does not, FixEngineImpl::start notices and refuses to listen.
namespace FIX {
__attribute__((visibility("default"))) int socket_createAcceptor(int port, bool reuse) {
    tradewind::ListenPlace& place = tradewind::listen_place();
    place.asked = true;
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_ANY);
    if (!place.host.empty() && ::inet_pton(AF_INET, place.host.c_str(), &address.sin_addr) != 1) return -1;
    const int handle = ::socket(PF_INET, SOCK_STREAM, 0);
    if (handle < 0) return -1;
    if (reuse) socket_setsockopt(handle, SO_REUSEADDR);
    if (::bind(handle, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 && ::listen(handle, SOMAXCONN) == 0)
        return handle;
    ::close(handle);
    return -1;
}
}  // namespace FIX

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

// What a peer proves itself with in its Logon: Username and Password, or in FIX 4.2, which has neither, RawData.
struct FixCredentials {
    std::string username, password;
};

// A message with the values of Password and RawData made unreadable, for logs and events.
inline std::string masked(std::string text) {
    for (const char* tag : {"\001554=", "\00196="}) {
        const size_t at = text.find(tag);
        if (at == std::string::npos) continue;
        const size_t start = at + std::strlen(tag);
        for (size_t index = start; index < text.size() && text[index] != '\001'; ++index) text[index] = '*';
    }
    return text;
}

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
        last = masked(text);
        file_->onIncoming(last);
    }
    void onOutgoing(const std::string& text) override { file_->onOutgoing(masked(text)); }
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
        return masked(message.toString());
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
    std::map<std::string, FixCredentials> credentials;  // by session
    bool echo = false, store_offline = false, initiates = false;

    void onCreate(const FIX::SessionID& id) override { queue_.put(CREATED, id.toString(), ""); }
    void onLogon(const FIX::SessionID& id) override {
        seen_.clear();
        if (FIX::Session* session = FIX::Session::lookupSession(id)) first_[id.toString()] = session->getExpectedSenderNum();
        queue_.put(LOGON, id.toString(), "");
    }
    void onLogout(const FIX::SessionID& id) override { queue_.put(LOGOUT, id.toString(), ""); }
    void toAdmin(FIX::Message& message, const FIX::SessionID& id) override {
        const auto found = credentials.find(id.toString());
        if (initiates && found != credentials.end() && message.getHeader().getField(FIX::FIELD::MsgType) == "A")
            identify(message, id, found->second);
        queue_.put(ADMIN_OUT, id.toString(), masked(message.toString()));
    }
    void fromAdmin(const FIX::Message& message, const FIX::SessionID& id) throw(
        FIX::FieldNotFound, FIX::IncorrectDataFormat, FIX::IncorrectTagValue, FIX::RejectLogon) override {
        const auto found = credentials.find(id.toString());
        if (!initiates && found != credentials.end() && message.getHeader().getField(FIX::FIELD::MsgType) == "A" &&
            !is_identified(message, id, found->second)) {
            queue_.put(NOTE, id.toString(), "a Logon with a wrong username or password was refused");
            throw FIX::RejectLogon("wrong username or password");
        }
        queue_.put(ADMIN_IN, id.toString(), taps_.bytes_of(message, id.toString()));
    }
    void toApp(FIX::Message& message, const FIX::SessionID& id) throw(FIX::DoNotSend) override {
        const std::string& type = message.getHeader().getField(FIX::FIELD::MsgType);
        const bool again = is_set(message, FIX::FIELD::PossDupFlag);
        // What went out over this connection the peer has or has not, and its number tells: sent again it counts once.
        // What went out before, nobody knows any more what the peer made of.
        if (again && gap_filled.count(type) && number_of(message) < first_[id.toString()]) throw FIX::DoNotSend();
        FIX::Session* session = FIX::Session::lookupSession(id);
        // Not stored either: a later resend request must not send what the caller was told is not sent.
        if (!again && !store_offline && (session == nullptr || !session->isLoggedOn())) throw FIX::DoNotSend();
        if (!again) last_sent() = number_of(message);
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
    static int number_of(const FIX::Message& message) {
        return std::stoi(message.getHeader().getField(FIX::FIELD::MsgSeqNum));
    }
    static bool is_set(const FIX::Message& message, int flag) {
        return message.getHeader().isSetField(flag) && message.getHeader().getField(flag) == "Y";
    }
    static bool has_usernames(const FIX::SessionID& id) { return id.getBeginString().getValue() != "FIX.4.2"; }
    static void identify(FIX::Message& message, const FIX::SessionID& id, const FixCredentials& who) {
        if (has_usernames(id)) {
            message.setField(FIX::FIELD::Username, who.username);
            message.setField(FIX::FIELD::Password, who.password);
        } else {
            message.setField(FIX::FIELD::RawDataLength, std::to_string(who.password.size()));
            message.setField(FIX::FIELD::RawData, who.password);
        }
    }
    static bool is_identified(const FIX::Message& message, const FIX::SessionID& id, const FixCredentials& who) {
        if (!has_usernames(id)) return same(message, FIX::FIELD::RawData, who.password);
        return same(message, FIX::FIELD::Username, who.username) & same(message, FIX::FIELD::Password, who.password);
    }
    // Takes as long for a wrong value as for a right one of that length.
    static bool same(const FIX::Message& message, int tag, const std::string& wanted) {
        const std::string given = message.isSetField(tag) ? message.getField(tag) : "";
        size_t different = given.size() ^ wanted.size();
        for (size_t index = 0; index < given.size(); ++index)
            different |= static_cast<unsigned char>(given[index]) ^
                         static_cast<unsigned char>(wanted.empty() ? 0 : wanted[index % wanted.size()]);
        return different == 0;
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
    std::map<std::string, int> first_;  // by session: the number of the first message after its logon; QuickFIX's thread
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
    void store_offline() { application_.store_offline = true; }
    void identify(const std::string& session, const std::string& username, const std::string& password) {
        application_.initiates = initiator_ != nullptr;
        application_.credentials[session] = FixCredentials{username, password};
    }

    void listen_on(const std::string& host) { host_ = host; }

    void start() {
        listen_place() = ListenPlace{host_, false};
        if (acceptor_) acceptor_->start();
        else initiator_->start();
        started_ = true;
        if (!acceptor_ || host_.empty() || listen_place().asked) return;
        stop(true);
        throw std::runtime_error("this QuickFIX cannot be told the address to listen on; leave the host away");
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
        const bool taken = FIX::Session::sendToTarget(message, session.getSessionID());
        const int number = FixApplication::last_sent();
        // QuickFIX calls what it only stored sent; who is still logged on afterwards was so before.
        return FixSent{taken && number != 0 && session.isLoggedOn(), number};
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
    std::string host_;
    bool started_ = false;
};

}  // namespace tradewind

#endif
