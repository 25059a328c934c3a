// An implementation in C++, checked: features, pre-activations and u of one reference case, without any library.
//
//     g++ -std=c++17 -O2 docs/examples/candidate.cpp -o candidate_cpp
//     ./candidate_cpp reference/NAME.safetensors SCALE PAIRED candidate/NAME.safetensors
//
// SCALE and PAIRED (0 or 1) are `scale` and `paired` of the case in reference/manifest.json.

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <regex>
#include <string>
#include <vector>

struct Tensor {
    std::size_t rows, columns;  // of a vector, one column
    std::vector<double> data;   // C order
    double& operator()(std::size_t i, std::size_t j) { return data[i * columns + j]; }
    double operator()(std::size_t i, std::size_t j) const { return data[i * columns + j]; }
};
using Tensors = std::map<std::string, Tensor>;

Tensors read(const char* path) {
    std::ifstream in(path, std::ios::binary);
    const std::string raw((std::istreambuf_iterator<char>(in)), {});
    std::uint64_t length;  // the numbers of the file and of this program are little-endian
    std::memcpy(&length, raw.data(), 8);
    const std::string header = raw.substr(8, length);
    const std::regex entry(
        R"re("([A-Za-z0-9_.]+)": ?\{"dtype": ?"F64", ?"shape": ?\[([^\]]*)\], ?"data_offsets": ?\[(\d+), ?(\d+)\]\})re");
    Tensors tensors;
    for (std::sregex_iterator match(header.begin(), header.end(), entry), end; match != end; ++match) {
        std::size_t first = std::stoul((*match)[3]), last = std::stoul((*match)[4]);
        Tensor t{1, 1, std::vector<double>((last - first) / 8)};
        const std::string shape = (*match)[2];
        if (!shape.empty()) t.rows = std::stoul(shape);
        if (auto comma = shape.find(','); comma != std::string::npos) t.columns = std::stoul(shape.substr(comma + 1));
        std::memcpy(t.data.data(), raw.data() + 8 + length + first, last - first);
        tensors[(*match)[1]] = t;
    }
    return tensors;
}

void write(const char* path, const Tensors& tensors, const std::map<std::string, std::string>& shapes) {
    std::string header = "{", data;
    for (const auto& [name, t] : tensors) {
        const std::size_t first = data.size();
        data.append(reinterpret_cast<const char*>(t.data.data()), 8 * t.data.size());
        header += (first ? "," : "") + ("\"" + name + "\":{\"dtype\":\"F64\",\"shape\":") + shapes.at(name) +
                  ",\"data_offsets\":[" + std::to_string(first) + "," + std::to_string(data.size()) + "]}";
    }
    header += "}";
    const std::uint64_t length = header.size();
    std::ofstream out(path, std::ios::binary);
    out.write(reinterpret_cast<const char*>(&length), 8);
    out << header << data;
}

Tensor affine(const Tensor& W, const Tensor& c, const Tensor& h) {
    Tensor z{W.rows, h.columns, std::vector<double>(W.rows * h.columns)};
    for (std::size_t i = 0; i < W.rows; ++i)
        for (std::size_t x = 0; x < h.columns; ++x) {
            z(i, x) = c.data[i];
            for (std::size_t j = 0; j < W.columns; ++j) z(i, x) += W(i, j) * h(j, x);
        }
    return z;
}

int main(int argc, char** argv) {
    if (argc != 5) {
        std::cerr << "usage: candidate_cpp CASE.safetensors SCALE PAIRED OUT.safetensors\n";
        return 2;
    }
    const Tensors t = read(argv[1]);
    const double scale = std::strtod(argv[2], nullptr);
    const bool paired = std::string(argv[3]) == "1";
    const Tensor& points = t.at("points");
    const std::size_t n = points.rows, d = points.columns;

    Tensors found;
    Tensor h{d, n, std::vector<double>(d * n)};
    if (t.count("amplitudes")) {
        const Tensor &A = t.at("amplitudes"), &B = t.at("B"), &b = t.at("b");
        h = Tensor{A.rows, n, std::vector<double>(A.rows * n)};
        for (std::size_t j = 0; j < A.rows; ++j)
            for (std::size_t x = 0; x < n; ++x) {
                double phase = b.data[j];
                for (std::size_t i = 0; i < d; ++i) phase += scale * B(paired ? j % B.rows : j, i) * points(x, i);
                h(j, x) = A.data[j] * std::cos(phase);
            }
        found["features"] = h;
    } else {
        for (std::size_t i = 0; i < d; ++i)
            for (std::size_t x = 0; x < n; ++x) h(i, x) = points(x, i);
    }
    for (int layer = 1; t.count("W" + std::to_string(layer)); ++layer) {
        const std::string number = std::to_string(layer);
        const Tensor z = affine(t.at("W" + number), t.at("c" + number), h);
        found["z" + number] = z;
        found["u"] = z;
        h = z;
        for (double& value : h.data) value = std::tanh(value);
    }
    std::map<std::string, std::string> shapes;
    for (const auto& [name, value] : found)
        shapes[name] = name == "u" ? "[" + std::to_string(n) + "]"
                                   : "[" + std::to_string(value.rows) + "," + std::to_string(value.columns) + "]";
    write(argv[4], found, shapes);
}
